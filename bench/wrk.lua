-- 800 bytes of JSON, signed as GitHub signs; the id is a random UUID, as senders choose them, and is not signed, so that
-- every request is new without wrk having to compute an HMAC. Body and signature come by the environment.
local body = os.getenv("BENCH_BODY")
local path = os.getenv("BENCH_PATH")
local headers = {
  ["content-type"] = "application/json",
  ["x-github-event"] = "push",
  ["x-hub-signature-256"] = os.getenv("BENCH_SIGNATURE"),
}
local random, format = math.random, string.format

function init(args)
  math.randomseed(tonumber(os.getenv("BENCH_SEED")) + (thread_id or 0))
end

function request()
  headers["x-github-delivery"] = format("%08x-%04x-4%03x-%04x-%06x%06x",
    random(0, 0xffffffff), random(0, 0xffff), random(0, 0xfff), random(0x8000, 0xbfff),
    random(0, 0xffffff), random(0, 0xffffff))
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency)
  io.write(format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end

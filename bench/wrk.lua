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

-- A rate: each request waits for the next place in a schedule, which goes on whatever an answer takes.
local rate = tonumber(os.getenv("BENCH_RATE") or "0")
if rate > 0 then
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s; long ns; } leat_time; int clock_gettime(int, leat_time *);")
  local time = ffi.new("leat_time")
  local due = 0
  function delay()
    ffi.C.clock_gettime(1, time)
    local now = tonumber(time.s) * 1000 + tonumber(time.ns) / 1e6
    -- Half a second late is lost: made up for in a burst, it would no longer be that rate.
    if due < now - 500 then due = now end
    due = due + 1000 / rate
    return math.max(0, math.floor(due - now + 0.5))
  end
end

function done(summary, latency)
  io.write(format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end

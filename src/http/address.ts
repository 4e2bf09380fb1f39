/** Where a listener listens: `host:port`, `[::1]:port`. */
import { LeatError } from "../errors.ts";

export function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}

const REMEDY: Record<string, string> = {
  EADDRINUSE: "another process listens there: stop it, or choose another port",
  EACCES: "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose a higher one",
  EADDRNOTAVAIL: "no interface of this machine has this address",
  ENOTFOUND: "the name has no address",
};

export function cannotListen(address: string, error: NodeJS.ErrnoException): LeatError {
  return new LeatError("internal", "cannot_listen", `can't listen on ${address} (${error.code})`, {
    hint: REMEDY[error.code ?? ""],
    cause: error,
  });
}

/**
 * The socket on which the service manager that started this process (systemd, or what speaks its protocol) is told how
 * it is. Node has no unix datagram sockets, so systemd's own `systemd-notify` sends each message, in about 3 ms; as that
 * is a child of ours, the unit needs `NotifyAccess=all`.
 */
import { execFile } from "node:child_process";
import type { Logger } from "../ports.ts";

/** Assignments of the protocol, such as `READY` → `1`. */
export type Message = Readonly<Record<string, string>>;

export interface NotifySocket {
  /** Sends one message after those before it. Resolves once it was taken, or couldn't be. Never rejects. */
  send(message: Message): Promise<void>;
}

export interface NotifySocketOptions {
  /** `NOTIFY_SOCKET` names the socket; `PATH` finds the command. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
}

/** `systemd-notify` waits up to 5 s for the manager to have read the message. */
const SEND_MS = 10_000;
/** Of one value: the whole message has to fit into a datagram. */
const VALUE_CHARACTERS = 500;

/** Null where nobody listens: the process wasn't started by such a manager. */
export function openNotifySocket({ env, log }: NotifySocketOptions): NotifySocket | null {
  const { NOTIFY_SOCKET, PATH } = env;
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === "") return null;
  let missing = false;
  let warned = false;
  let last = Promise.resolve();

  const sendNow = (message: Message) =>
    new Promise<void>((resolve) => {
      if (missing) return resolve();
      const assignments = Object.entries(message).map(([name, value]) => `${name}=${oneLine(value)}`);
      // The daemon's own environment, which may hold secrets, is no business of the command's.
      const options = { env: { NOTIFY_SOCKET, PATH }, timeout: SEND_MS };
      execFile("systemd-notify", assignments, options, (err) => {
        missing = err !== null && err.code === "ENOENT";
        if (err !== null && !warned) {
          warned = true;
          const remedy = missing ? "install systemd's systemd-notify" : "the unit needs NotifyAccess=all";
          log.warn({ err, remedy }, "the service manager couldn't be told how Leat is");
        }
        resolve();
      });
    });

  return {
    send(message) {
      last = last.then(() => sendNow(message));
      return last;
    },
  };
}

/** A value with a line's end would be another assignment: names in it come from people. */
function oneLine(value: string): string {
  const line = value.replace(/\p{Cc}+/gu, " ");
  const characters = [...line];
  return characters.length > VALUE_CHARACTERS ? `${characters.slice(0, VALUE_CHARACTERS).join("")}…` : line;
}

/** HTTP by hand: what no client library would send. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { waitFor } from "../wait-for.ts";

export class RawClient {
  readonly socket: Socket;
  received = "";
  ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.received += text;
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("close", () => {
      this.ended = true;
    });
    socket.on("error", () => {});
  }

  /** `allowHalfOpen`: this side stays open when the server ends, and the other way round. */
  static async open(url: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port),
      allowHalfOpen: true,
    });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  send(text: string | Uint8Array): void {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** The status of each answer so far, final ones only. */
  statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3})/g)]
      .map((found) => Number(found[1]))
      .filter((status) => status >= 200);
  }

  async status(count = 1): Promise<number> {
    const statuses = await waitFor(`${count} answers in ${JSON.stringify(this.received)}`, () => {
      return this.statuses().length >= count ? this.statuses() : null;
    });
    return statuses[count - 1] as number;
  }

  async untilEnd(timeoutMs?: number): Promise<void> {
    await waitFor("the connection's end", () => this.ended, timeoutMs);
  }

  close(): void {
    this.socket.destroy();
  }
}

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that breaks what goes through it, as networks do. */
export interface TcpProxy {
  readonly port: number;
  /** Connections that it has accepted since it began. */
  connections(): number;
  /** Connections that are open now. */
  open(): number;
  /** Ends all connections with a reset, at both ends. New ones are accepted. Returns how many it cut. */
  cut(): number;
  /**
   * Lets that many bytes more pass (both ways, all connections together, counted from now), then cuts; so a cut can
   * fall in the middle of a frame, a handshake or a set-up. Resolves when it has cut.
   */
  cutAfter(bytes: number): Promise<void>;
  /** Passes nothing on and tells nobody (half-open); new connections are accepted and get nothing either. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

/** `port`: where it listens, for a broker that tells its clients an address; else any free one. */
export async function startProxy(targetPort: number, { port = 0 } = {}): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let [accepted, held] = [0, false];
  let fuse: { left: number; burnt: () => void } | null = null;

  const cut = () => {
    const clients = [...sockets];
    sockets.clear();
    clients.forEach(reset);
    return Math.ceil(clients.length / 2);
  };
  const pipe = (from: Socket, to: Socket) => {
    from.on("data", (chunk: Buffer) => {
      if (fuse !== null && chunk.length >= fuse.left) {
        const { left, burnt } = fuse;
        fuse = null;
        // What is before the cut arrives; the reset comes once it is written.
        to.write(chunk.subarray(0, left), () => {
          cut();
          burnt();
        });
        return;
      }
      if (fuse !== null) fuse.left -= chunk.length;
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => held || from.resume());
    from.on("end", () => to.end());
    from.on("error", () => reset(to));
    from.on("close", () => {
      sockets.delete(from);
      to.destroySoon();
    });
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted++;
    const upstream = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    sockets.add(client).add(upstream);
    pipe(client, upstream);
    pipe(upstream, client);
    if (held) for (const socket of [client, upstream]) socket.pause();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => accepted,
    open: () => Math.ceil(sockets.size / 2),
    cut,
    cutAfter: (bytes) => new Promise((resolve) => (fuse = { left: Math.max(1, bytes), burnt: resolve })),
    hold() {
      held = true;
      for (const socket of sockets) socket.pause();
    },
    release() {
      held = false;
      for (const socket of sockets) socket.resume();
    },
    async close() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}

/** One that is being shut down can't be reset: Node would then lose sight of it, and never close it. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

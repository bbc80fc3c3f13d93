/**
 * Third process of the reference pipeline: one ordered consumer, every line becomes one ready-made frame, everything of a tick goes out as
 * one write per socket. This is the edge without authentication, cursors, filters and queue limits.
 */
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { WebSocketServer } from "ws";
import { serveRole } from "../../support/role.ts";
import { textFrame } from "../baselines/text-frame.ts";

serveRole({
  start: async ({ url }: { url: string }): Promise<number> => {
    const connection = await connect({ servers: url });
    const sockets = new Set<Socket>();
    let tick: Buffer[] = [];
    const flush = (): void => {
      const out = tick.length === 1 ? tick[0] : Buffer.concat(tick);
      tick = [];
      if (out) for (const socket of sockets) socket.write(out);
    };
    const consumer = await jetstream(connection).consumers.get("BENCH_OUT", { deliver_policy: DeliverPolicy.New });
    await consumer.consume({
      max_messages: 1_000,
      callback: (msg) => {
        if (tick.length === 0) setImmediate(flush);
        let start = msg.data.indexOf(10) + 1;
        while (start < msg.data.length) {
          const newline = msg.data.indexOf(10, start);
          const end = newline === -1 ? msg.data.length : newline;
          tick.push(textFrame(msg.data.subarray(start, end)));
          start = end + 1;
        }
      },
    });
    return listenSockets((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
  },
});

function listenSockets(onSocket: (socket: Socket) => void): Promise<number> {
  const server = http.createServer((_request, response) => response.writeHead(426).end());
  const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on("upgrade", (request, socket, head) => {
    // An HTTP/1.1 upgrade socket of a TCP listener is a net.Socket.
    accept.handleUpgrade(request, socket, head, () => onSocket(socket as Socket));
  });
  // A TCP listener's address is an object; only pipes have a string.
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

/**
 * Third process of the feeds reference: the edge of edge-role.ts, but each socket names the feeds and topics it wants and gets only those. The
 * key stands at a fixed place of every line, so nothing is parsed.
 */
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { WebSocketServer } from "ws";
import { ID, ID_MARKER, KEY_AT, KEY_LENGTH } from "../../support/feed-plan.ts";
import { serveRole } from "../../support/role.ts";
import { textFrame } from "../baselines/text-frame.ts";

const wanted = new Map<string, Set<Socket>>();

serveRole({
  start: async ({ url }: { url: string }): Promise<number> => {
    const connection = await connect({ servers: url });
    let tick = new Map<Socket, Buffer[]>();
    const flush = (): void => {
      const out = tick;
      tick = new Map();
      for (const [socket, frames] of out) socket.write(frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames));
    };
    const route = (line: Uint8Array): void => {
      const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
      const at = text.indexOf(ID_MARKER, 0, "latin1") + ID_MARKER.length + KEY_AT;
      const key = text.toString("latin1", at, at + KEY_LENGTH);
      let frame: Buffer | undefined;
      for (const sockets of [wanted.get(key), wanted.get(key.slice(0, ID.feed))]) {
        for (const socket of sockets ?? []) {
          frame ??= textFrame(text);
          const frames = tick.get(socket);
          if (frames) frames.push(frame);
          else tick.set(socket, [frame]);
        }
      }
    };
    const consumer = await jetstream(connection).consumers.get("BENCH_OUT", { deliver_policy: DeliverPolicy.New });
    await consumer.consume({
      max_messages: 1_000,
      callback: (msg) => {
        if (tick.size === 0) setImmediate(flush);
        let start = msg.data.indexOf(10) + 1;
        while (start < msg.data.length) {
          const newline = msg.data.indexOf(10, start);
          const end = newline === -1 ? msg.data.length : newline;
          route(msg.data.subarray(start, end));
          start = end + 1;
        }
      },
    });
    return listenSockets();
  },
});

/** A socket's first message is the JSON array of its keys. */
function listenSockets(): Promise<number> {
  const server = http.createServer((_request, response) => response.writeHead(426).end());
  const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on("upgrade", (request, stream, head) => {
    // An HTTP/1.1 upgrade socket of a TCP listener is a net.Socket.
    const socket = stream as Socket;
    accept.handleUpgrade(request, socket, head, (ws) => {
      ws.once("message", (data) => {
        // Only the sink of this harness connects.
        const keys = JSON.parse(String(data)) as string[];
        for (const key of keys) {
          const sockets = wanted.get(key) ?? new Set();
          wanted.set(key, sockets.add(socket));
        }
        socket.on("close", () => {
          for (const key of keys) wanted.get(key)?.delete(socket);
        });
        socket.write(textFrame(Buffer.from('{"type":"subscribed"}')));
      });
    });
  });
  // A TCP listener's address is an object; only pipes have a string.
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

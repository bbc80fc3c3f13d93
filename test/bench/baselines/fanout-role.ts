/**
 * Server process of B6 and B7: holds WebSockets with the `ws` package and sends one event to all of them as fast as they drain, in one of
 * the ways a server could do it.
 */
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { serveRole } from "../../support/role.ts";
import type { FanoutMode } from "./fanout-modes.ts";
import { textFrame } from "./text-frame.ts";

interface Peer {
  ws: WebSocket;
  socket: Socket;
}
const peers = new Set<Peer>();
const HIGH_WATER_BYTES = 1024 * 1024;

serveRole({
  listen: (): Promise<number> => {
    const server = http.createServer((_request, response) => response.writeHead(426).end());
    const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    server.on("upgrade", (request, stream, head) => {
      // An HTTP/1.1 upgrade socket of a TCP listener is a net.Socket.
      const socket = stream as Socket;
      accept.handleUpgrade(request, socket, head, (ws) => {
        const peer = { ws, socket };
        peers.add(peer);
        ws.on("close", () => peers.delete(peer));
      });
    });
    // A TCP listener's address is an object; only pipes have a string.
    return new Promise((resolve) =>
      server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => resolve((server.address() as AddressInfo).port)),
    );
  },
  /** @returns deliveries. */
  broadcast: async ({ mode, seconds, payloadBytes }: { mode: FanoutMode; seconds: number; payloadBytes: number }): Promise<number> => {
    const event = { type: "event", page: "x".repeat(payloadBytes - 26) };
    const text = JSON.stringify(event);
    const buffer = Buffer.from(text);
    const frame = textFrame(buffer);
    const many = { 4: Buffer.concat(Array.from({ length: 4 }, () => frame)), 16: Buffer.concat(Array.from({ length: 16 }, () => frame)) };
    const ways: Record<FanoutMode, { frames: number; send: (peer: Peer) => void }> = {
      "stringify per client": { frames: 1, send: (peer) => peer.ws.send(JSON.stringify(event)) },
      "shared string": { frames: 1, send: (peer) => peer.ws.send(text) },
      "shared Buffer": { frames: 1, send: (peer) => peer.ws.send(buffer, { binary: false }) },
      "ready frame": { frames: 1, send: (peer) => peer.socket.write(frame) },
      "4 frames per write": { frames: 4, send: (peer) => peer.socket.write(many[4]) },
      "16 frames per write": { frames: 16, send: (peer) => peer.socket.write(many[16]) },
    };
    const way = ways[mode];
    const end = performance.now() + seconds * 1000;
    let deliveries = 0;
    while (performance.now() < end) {
      for (const peer of peers) way.send(peer);
      deliveries += way.frames * peers.size;
      await new Promise((resolve) => setImmediate(resolve));
      for (const peer of peers)
        if (peer.socket.writableLength > HIGH_WATER_BYTES) await new Promise((resolve) => peer.socket.once("drain", resolve));
    }
    for (const peer of peers) if (peer.socket.writableLength > 0) await new Promise((resolve) => peer.socket.once("drain", resolve));
    return deliveries;
  },
});

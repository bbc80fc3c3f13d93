/**
 * Somebody else's live feed, for the demo: a WebSocket server on 127.0.0.1 that begins to replay a recording when a client subscribes, as an
 * exchange does, in a loop, no faster than it was recorded and bounded. Touches its own port only. Tests: upstream.int.test.ts.
 */
import type { AddressInfo } from "node:net";
import type { Logger } from "@headwater/runtime";
import { type WebSocket, WebSocketServer } from "ws";
import type { RecordedMessage } from "./recordings.ts";

/** One message at most in this time, per connection: 25 a second, which a person can still follow. */
const TICK_MS = 40;
/** A client that reads slowly gets fewer messages, not a longer queue. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const MAX_SUBSCRIPTION_BYTES = 64 * 1024;

export interface DemoUpstream {
  /** `127.0.0.1:<port>`: what ingest has to be allowed. */
  host: string;
  port: number;
  urlOf(name: string): string;
  stop(): Promise<void>;
}

/** @param recordings by name; the name is the path. Listens on `port`, or on a free one when that is taken. */
export async function startDemoUpstream(
  recordings: Readonly<Record<string, readonly RecordedMessage[]>>,
  log: Logger,
  port = 0,
): Promise<DemoUpstream> {
  const server = await listen(port).catch((error: unknown) => {
    if (port === 0) throw error;
    return listen(0);
  });
  server.on("connection", (socket, request) => {
    const messages = recordings[(request.url ?? "/").slice(1)];
    socket.on("error", (error) => log.debug({ err: error }, "demo.upstream_client"));
    if (messages === undefined || messages.length === 0) return socket.close(1008, "no such recording");
    socket.once("message", () => replay(socket, messages));
  });
  // A listening TCP server's address is an object; only pipes have a string.
  const address = server.address() as AddressInfo;
  const host = `127.0.0.1:${address.port}`;
  return {
    host,
    port: address.port,
    urlOf: (name) => `ws://${host}/${name}`,
    stop: () =>
      new Promise((resolve) => {
        for (const client of server.clients) client.close(1001, "demo ends");
        server.close(() => resolve());
        for (const client of server.clients) client.terminate();
      }),
  };
}

function listen(port: number): Promise<WebSocketServer> {
  return new Promise((resolve, reject) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port, maxPayload: MAX_SUBSCRIPTION_BYTES });
    server.once("error", reject);
    server.once("listening", () => resolve(server));
  });
}

function replay(socket: WebSocket, messages: readonly RecordedMessage[]): void {
  let next = 0;
  let begun = performance.now();
  const timer = setInterval(() => {
    const message = messages[next];
    if (message === undefined || performance.now() - begun < message.atMs || socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
    socket.send(message.text);
    next++;
    if (next < messages.length) return;
    next = 0;
    begun = performance.now();
  }, TICK_MS);
  socket.once("close", () => clearInterval(timer));
}

/** A `/ws` client for tests: every frame held against the contract and kept. Never imported by product code. */
import { SocketServerMessage } from "@headwater/protocol";
import { WebSocket } from "ws";

export interface SocketFrame {
  type: string;
  payload: Record<string, unknown>;
  cursor?: string;
}

export interface SocketClient {
  ws: WebSocket;
  frames: SocketFrame[];
  /** The frames as they came. */
  texts: string[];
  of(type: string): SocketFrame[];
  when(what: string, condition: () => boolean): Promise<void>;
  /** So many frames of the type are there. */
  received(type: string, count: number): Promise<SocketFrame[]>;
  send(message: unknown): void;
  /** Sends, and gives the texts that came until everything sent was processed. */
  ask(...messages: unknown[]): Promise<string[]>;
  /** Sends, and gives the first text that is not the pong behind it: for answers that come from another service. */
  reply(message: unknown): Promise<string>;
  closed: Promise<{ code: number; reason: string }>;
  close(): Promise<void>;
}

const WITHIN_MS = 15_000;

/** Rejects when the upgrade is refused. */
export async function openSocket(
  base: string,
  options: { headers?: Record<string, string>; autoPong?: boolean } = {},
): Promise<SocketClient> {
  const ws = new WebSocket(`${base}/ws`, {
    headers: options.headers ?? {},
    perMessageDeflate: false,
    maxPayload: 0,
    autoPong: options.autoPong ?? true,
  });
  const frames: SocketFrame[] = [];
  const texts: string[] = [];
  const counts = new Map<string, number>();
  const watchers = new Set<() => void>();
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on("close", (code, reason) => {
      resolve({ code, reason: String(reason) });
      for (const watch of watchers) watch();
    });
  });
  ws.on("message", (data) => {
    const text = String(data);
    const value: unknown = JSON.parse(text);
    SocketServerMessage.parse(value);
    // Checked against the contract on the line above.
    const frame = value as SocketFrame;
    texts.push(text);
    frames.push(frame);
    counts.set(frame.type, (counts.get(frame.type) ?? 0) + 1);
    for (const watch of watchers) watch();
  });
  const when = (what: string, condition: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer);
        watchers.delete(watch);
        if (error) reject(error);
        else resolve();
      };
      const watch = (): void => {
        if (condition()) finish();
        else if (ws.readyState === ws.CLOSED) finish(new Error(`closed before: ${what}; ${texts.slice(-3).join(" ").slice(0, 500)}`));
      };
      const timer = setTimeout(
        () => finish(new Error(`did not happen: ${what}; last ${texts.slice(-3).join(" ").slice(0, 500)}`)),
        WITHIN_MS,
      );
      watchers.add(watch);
      watch();
    });
  const client: SocketClient = {
    ws,
    frames,
    texts,
    of: (type) => frames.filter((frame) => frame.type === type),
    when,
    async received(type, count) {
      await when(`${count} of ${type}`, () => (counts.get(type) ?? 0) >= count);
      return client.of(type);
    },
    send: (message) => ws.send(typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message)),
    async ask(...messages) {
      const from = texts.length;
      const pongs = (counts.get("pong") ?? 0) + messages.filter((message) => isPing(message)).length;
      for (const message of messages) client.send(message);
      client.send({ type: "ping" });
      await when("the pong behind it", () => (counts.get("pong") ?? 0) > pongs);
      return texts.slice(from, texts.lastIndexOf('{"type":"pong"}'));
    },
    async reply(message) {
      const from = texts.length;
      const isAnswer = (text: string, index: number): boolean => index >= from && text !== '{"type":"pong"}';
      client.send(message);
      await when("an answer", () => texts.some(isAnswer));
      return texts.find(isAnswer) ?? "";
    },
    closed,
    async close() {
      if (ws.readyState !== ws.CLOSED) ws.close();
      await closed;
    },
  };
  await new Promise<void>((resolve, reject) => {
    ws.once("open", () => resolve());
    ws.once("unexpected-response", (_req, res) => {
      let body = "";
      res.on("data", (chunk) => (body += chunk));
      res.on("end", () => reject(new Error(`${res.statusCode} ${body}`)));
    });
    ws.once("error", reject);
  });
  ws.on("error", () => undefined);
  return client;
}

function isPing(message: unknown): boolean {
  return typeof message === "object" && message !== null && "type" in message && message.type === "ping";
}

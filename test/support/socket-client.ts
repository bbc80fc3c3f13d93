/** A client of `/ws` for tests: keeps every frame with its text, waits for one, asks and gets the reply. */
import { WebSocket } from "ws";

export interface SocketFrame {
  type: string;
  payload: Record<string, unknown>;
  cursor?: string;
  /** As it came: numbers beyond 2^53 are in here only. */
  text: string;
}

export interface SocketClient {
  readonly frames: readonly SocketFrame[];
  send(type: string, payload?: unknown): void;
  /** First frame from `from` on, past or future, that fits. Rejects after `withinMs` or when the socket ends. */
  frame(what: string, fits: (frame: SocketFrame) => boolean, options?: { from?: number; withinMs?: number }): Promise<SocketFrame>;
  /** Sends and resolves with the first of these types that follows. */
  ask(type: string, payload: unknown, ...replies: string[]): Promise<SocketFrame>;
  readonly isOpen: boolean;
  closed: Promise<{ code: number; reason: string }>;
  close(): void;
}

const WAIT_MS = 15_000;

/** @param url of the system, http. Resolves when the socket is open. */
export async function openSocket(url: string, headers: Record<string, string> = {}): Promise<SocketClient> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws`, { perMessageDeflate: false, headers });
  const frames: SocketFrame[] = [];
  const watchers = new Set<() => void>();
  const wake = (): void => {
    for (const watcher of watchers) watcher();
  };
  socket.on("message", (data) => {
    const text = data.toString();
    // Every frame of the contract is an object with a type; only `pong` lacks a payload.
    const frame = JSON.parse(text) as { type: string; payload?: Record<string, unknown>; cursor?: string };
    frames.push({ ...frame, payload: frame.payload ?? {}, text });
    wake();
  });
  let ended: { code: number; reason: string } | undefined;
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once("close", (code, reason) => {
      ended = { code, reason: reason.toString() };
      resolve(ended);
      wake();
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.on("error", reject);
  });
  const client: SocketClient = {
    frames,
    closed,
    get isOpen() {
      return ended === undefined;
    },
    send: (type, payload) => socket.send(JSON.stringify({ type, payload })),
    frame: (what, fits, { from = 0, withinMs = WAIT_MS } = {}) =>
      new Promise((resolve, reject) => {
        let at = from;
        const done = (settle: () => void): void => {
          clearTimeout(late);
          watchers.delete(look);
          settle();
        };
        const seen = (): string => frames.slice(-4).map((frame) => frame.text.slice(0, 300)).join("\n"); // biome-ignore format: one line
        const look = (): void => {
          for (; at < frames.length; at++) {
            const frame = frames[at];
            if (frame && fits(frame)) return done(() => resolve(frame));
          }
          if (ended) done(() => reject(new Error(`the socket ended (${ended?.code}) before: ${what}\n${seen()}`)));
        };
        const late = setTimeout(() => done(() => reject(new Error(`no frame within ${withinMs} ms: ${what}\n${seen()}`))), withinMs);
        watchers.add(look);
        look();
      }),
    ask: (type, payload, ...replies) => {
      const from = frames.length;
      client.send(type, payload);
      return client.frame(`${replies.join(" or ")} after ${type}`, (frame) => replies.includes(frame.type), { from });
    },
    close: () => socket.close(1000),
  };
  return client;
}

/** Subscribes or throws what was answered. */
export async function subscribe(client: SocketClient, type: string, payload: Record<string, unknown>): Promise<SocketFrame> {
  const from = client.frames.length;
  client.send(type, payload);
  const reply = await client.frame(
    `reply to ${type}`,
    (frame) =>
      (frame.type === "subscription-success" || frame.type === "subscription-error") &&
      frame.payload["feedId"] === payload["feedId"] &&
      frame.payload["topic"] === payload["topic"],
    { from },
  );
  if (reply.type !== "subscription-success") throw new Error(`${type}: ${reply.text}`);
  return reply;
}

/** A client of `/ws` for end-to-end tests: keeps every frame as text and as object, waits for frames and for the close. */
import { WebSocket } from "ws";
import { isObject } from "./feeds-system.ts";

export interface SocketFrame {
  type: string;
  payload: Record<string, unknown>;
  cursor?: string;
  /** As it came. */
  text: string;
}

export interface Socket {
  frames: SocketFrame[];
  of(type: string): SocketFrame[];
  send(message: unknown): void;
  /** First frame, past or future, that fits. Rejects when the socket closes before. */
  frame(what: string, fits: (frame: SocketFrame) => boolean, withinMs?: number): Promise<SocketFrame>;
  /** Until the condition holds; asked after every frame. */
  when(what: string, condition: () => boolean, withinMs?: number): Promise<void>;
  /** Sends, and gives the frames that came until everything sent was answered. */
  ask(...messages: unknown[]): Promise<SocketFrame[]>;
  /** The answer to one message. */
  answer(message: unknown): Promise<SocketFrame>;
  closed: Promise<{ code: number; reason: string }>;
  isOpen(): boolean;
  close(): Promise<void>;
  /** Cuts the connection without a word. */
  cut(): void;
}

const WITHIN_MS = 20_000;

/** Resolves when the socket is open. `onFrame` sees every frame when it comes. */
export async function openSocket(wsUrl: string, onFrame?: (frame: SocketFrame) => void): Promise<Socket> {
  const ws = new WebSocket(`${wsUrl}/ws`, { perMessageDeflate: false, maxPayload: 0 });
  const frames: SocketFrame[] = [];
  const watchers = new Set<() => void>();
  const notify = (): void => {
    for (const watch of watchers) watch();
  };
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on("close", (code, reason) => {
      resolve({ code, reason: String(reason) });
      notify();
    });
  });
  ws.on("message", (data) => {
    const text = String(data);
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || typeof value["type"] !== "string") throw new Error(`not a frame: ${text}`);
    const payload = isObject(value["payload"]) ? value["payload"] : {};
    const cursor = typeof value["cursor"] === "string" ? { cursor: value["cursor"] } : {};
    const frame = { type: value["type"], payload, ...cursor, text };
    frames.push(frame);
    onFrame?.(frame);
    notify();
  });
  await new Promise<void>((resolve, reject) => {
    ws.once("open", () => resolve());
    ws.once("error", reject);
  });
  // A cut connection is an error event too; `close` tells it.
  ws.on("error", () => undefined);

  const when = (what: string, condition: () => boolean, withinMs = WITHIN_MS): Promise<void> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer);
        watchers.delete(watch);
        if (error) reject(error);
        else resolve();
      };
      const last = (): string =>
        frames
          .slice(-3)
          .map((frame) => frame.text.slice(0, 300))
          .join("\n");
      const watch = (): void => {
        if (condition()) finish();
        else if (ws.readyState === ws.CLOSED) finish(new Error(`the socket closed before: ${what}\n${last()}`));
      };
      const timer = setTimeout(() => finish(new Error(`did not happen: ${what}; ${frames.length} frames\n${last()}`)), withinMs);
      watchers.add(watch);
      watch();
    });
  const socket: Socket = {
    frames,
    of: (type) => frames.filter((frame) => frame.type === type),
    send: (message) => ws.send(typeof message === "string" ? message : JSON.stringify(message)),
    async frame(what, fits, withinMs) {
      let found: SocketFrame | undefined;
      let looked = 0;
      await when(
        what,
        () => {
          while (!found && looked < frames.length) {
            const frame = frames[looked++];
            if (frame && fits(frame)) found = frame;
          }
          return found !== undefined;
        },
        withinMs,
      );
      if (!found) throw new Error("unreachable");
      return found;
    },
    when,
    async ask(...messages) {
      const start = frames.length;
      for (const message of messages) socket.send(message);
      socket.send({ type: "ping" });
      // Answers come in the order of their requests.
      await when("the answers", () => frames.slice(start).some((frame) => frame.type === "pong"));
      return frames.slice(start).filter((frame) => frame.type !== "pong");
    },
    async answer(message) {
      // What is pushed meanwhile is no answer.
      const [first] = (await socket.ask(message)).filter((frame) => !PUSHED.has(frame.type));
      if (!first) throw new Error(`no answer to ${JSON.stringify(message)}`);
      return first;
    },
    closed,
    isOpen: () => ws.readyState === ws.OPEN,
    async close() {
      if (ws.readyState !== ws.CLOSED) ws.close();
      await closed;
    },
    cut: () => ws.terminate(),
  };
  return socket;
}

const PUSHED: ReadonlySet<string> = new Set([
  "feed-data",
  "topic-data",
  "feed-status",
  "feed-deleted",
  "gap",
  "llm-intelligence",
  "llm-broadcast",
]);

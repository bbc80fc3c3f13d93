/** A feed client for tests: every frame parsed and kept, waits for frames and for the close. Never imported by product code. */
import { WebSocket } from "ws";

export type FeedFrame = { type: string } & Record<string, unknown>;

export interface FeedSocket {
  ws: WebSocket;
  frames: FeedFrame[];
  /** `visitorId`s of the event frames so far. */
  visitors(): string[];
  events(): FeedFrame[];
  /** The first frame of the type, waiting for it when needed. */
  first(type: string): Promise<FeedFrame>;
  /** Resolves when so many event frames are there. */
  received(count: number): Promise<void>;
  when(what: string, condition: () => boolean): Promise<void>;
  closed: Promise<{ code: number; reason: string }>;
  send(message: unknown): void;
  close(): Promise<void>;
}

const WITHIN_MS = 15_000;

/** Resolves after the `hello` frame. Rejects with the HTTP status and body when the upgrade is refused. */
export async function openFeed(url: string, options: { protocols?: string[]; headers?: Record<string, string> } = {}): Promise<FeedSocket> {
  const ws = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {}, perMessageDeflate: false });
  const frames: FeedFrame[] = [];
  const firsts = new Map<string, FeedFrame>();
  let events = 0;
  const watchers = new Set<() => void>();
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on("close", (code, reason) => {
      resolve({ code, reason: String(reason) });
      for (const watch of watchers) watch();
    });
  });
  ws.on("message", (data) => {
    // Our own server sends one JSON object with a type per frame; anything else fails the test here.
    const frame = JSON.parse(String(data)) as FeedFrame;
    frames.push(frame);
    if (!firsts.has(frame.type)) firsts.set(frame.type, frame);
    if (frame.type === "event") events++;
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
        else if (ws.readyState === ws.CLOSED) finish(new Error(`closed before: ${what}`));
      };
      const timer = setTimeout(() => finish(new Error(`did not happen: ${what}; have ${events} events`)), WITHIN_MS);
      watchers.add(watch);
      watch();
    });
  const socket: FeedSocket = {
    ws,
    frames,
    events: () => frames.filter((frame) => frame.type === "event"),
    visitors: () => frames.filter((frame) => frame.type === "event").map((frame) => String(frame["visitorId"])),
    async first(type) {
      await when(`a ${type} frame`, () => firsts.has(type));
      const found = firsts.get(type);
      if (!found) throw new Error("unreachable");
      return found;
    },
    received: (count) => when(`${count} events`, () => events >= count),
    when,
    closed,
    send: (message) => ws.send(typeof message === "string" ? message : JSON.stringify(message)),
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
      res.on("end", () => reject(new UpgradeRefused(res.statusCode ?? 0, body, res.headers)));
    });
    ws.once("error", reject);
  });
  ws.on("error", () => undefined);
  await socket.first("hello");
  return socket;
}

export class UpgradeRefused extends Error {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, string | string[] | undefined>;
  constructor(status: number, body: string, headers: Record<string, string | string[] | undefined>) {
    super(`upgrade refused: ${status} ${body}`);
    this.status = status;
    // Refusals are JSON objects by contract.
    this.body = JSON.parse(body) as Record<string, unknown>;
    this.headers = headers;
  }
}

/** The refusal of a handshake that must not succeed. */
export async function refusedFeed(url: string, options?: Parameters<typeof openFeed>[1]): Promise<UpgradeRefused> {
  try {
    const socket = await openFeed(url, options);
    await socket.close();
  } catch (error) {
    if (error instanceof UpgradeRefused) return error;
    throw error;
  }
  throw new Error("the upgrade was not refused");
}

/** A subscriber of the Signals Feed for tests: collects frames, waits for one, remembers the cursor. */
import { WebSocket } from "ws";

export interface FeedFrame {
  type: string;
  [field: string]: unknown;
}

export interface FeedClient {
  frames: FeedFrame[];
  events(): FeedFrame[];
  /** First frame, past or future, that fits. */
  frame(what: string, fits: (frame: FeedFrame) => boolean, withinMs?: number): Promise<FeedFrame>;
  closed: Promise<{ code: number; reason: string }>;
  send(message: unknown): void;
  close(): void;
}

/** Resolves when the socket is open; rejects with the HTTP status and body of a refused handshake. */
export async function openFeed(url: string, options: { headers?: Record<string, string>; protocols?: string[] } = {}): Promise<FeedClient> {
  const socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {}, perMessageDeflate: false });
  const frames: FeedFrame[] = [];
  const waiting = new Set<{ fits: (frame: FeedFrame) => boolean; resolve: (frame: FeedFrame) => void }>();
  socket.on("message", (data) => {
    // Every frame of the feed is one JSON object with a type.
    const frame = JSON.parse(data.toString()) as FeedFrame;
    frames.push(frame);
    for (const entry of waiting) if (entry.fits(frame)) entry.resolve(frame);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("unexpected-response", (_req, res) => {
      let body = "";
      res.on("data", (chunk) => (body += String(chunk)));
      res.on("end", () => reject(new Error(`${res.statusCode} ${body}`)));
    });
    socket.on("error", reject);
  });
  return {
    frames,
    events: () => frames.filter((frame) => frame.type === "event"),
    frame(what, fits, withinMs = 10_000) {
      const known = frames.find(fits);
      if (known) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`no frame within ${withinMs} ms: ${what}; got ${JSON.stringify(frames.slice(-5))}`)),
          withinMs,
        );
        const entry = {
          fits,
          resolve: (frame: FeedFrame) => {
            clearTimeout(late);
            waiting.delete(entry);
            resolve(frame);
          },
        };
        waiting.add(entry);
      });
    },
    closed,
    send: (message) => socket.send(JSON.stringify(message)),
    close: () => socket.close(1000, "bye"),
  };
}

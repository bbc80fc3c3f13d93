/**
 * An answer that is written while it is made: server-sent events, or bare text for who asked for it. Begins with the first word, so that an
 * error before it can still be an ordinary answer. Tests: event-stream.test.ts.
 */
import type { Request, Response } from "express";

export interface AnswerStream {
  /** Words in order; later ones wait in memory for a slow reader, up to the answer's bound. */
  token(text: string): void;
  /** The last event; resolves when everything is written, or the reader has left. */
  done(result: object): Promise<void>;
  /** After the first word only. */
  fail(message: string): Promise<void>;
  hasBegun(): boolean;
  stop(): void;
}

export const KEEP_ALIVE_MS = 15_000;
/** A reader that takes nothing for so long is cut off. */
const STALLED_MS = 30_000;

export function sseEvent(event: string, data: string): string {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `event: ${event}\n${lines.join("")}\n`;
}

/** Bare text only for who accepts nothing that we would rather send: many clients accept `text/plain` beside anything else. */
export function wantsPlainText(accept: string | undefined): boolean {
  const ranges = (accept ?? "").split(",").map((part) => part.split(";")[0]?.trim().toLowerCase() ?? "");
  return ranges.includes("text/plain") && !ranges.some((range) => ["text/event-stream", "text/*", "*/*"].includes(range));
}

export function openAnswerStream(req: Request, res: Response, keepAliveMs = KEEP_ALIVE_MS): AnswerStream {
  const isPlain = wantsPlainText(req.headers.accept);
  const begin = (): void => {
    if (res.headersSent) return;
    res.writeHead(200, {
      "Content-Type": isPlain ? "text/plain; charset=utf-8" : "text/event-stream; charset=utf-8",
      "Cache-Control": "no-cache, no-store",
      "X-Accel-Buffering": "no",
    });
    res.flushHeaders();
  };
  const write = (text: string): void => {
    if (res.destroyed || res.writableEnded) return;
    begin();
    res.write(text);
  };
  const timer = setInterval(() => {
    if (!isPlain) write(": keep-alive\n\n");
  }, keepAliveMs);
  timer.unref();
  const end = async (text: string): Promise<void> => {
    clearInterval(timer);
    if (res.destroyed) return;
    begin();
    res.setTimeout(STALLED_MS, () => res.destroy());
    await new Promise<void>((resolve) => {
      res.once("close", resolve);
      res.end(text, () => resolve());
    });
  };
  return {
    token: (text) => write(isPlain ? text : sseEvent("token", text)),
    done: (result) => end(isPlain ? "" : sseEvent("done", JSON.stringify(result))),
    async fail(message) {
      if (!isPlain) return await end(sseEvent("error", JSON.stringify({ error: message })));
      clearInterval(timer);
      // Bare text has no way to say it: it is cut, so that half an answer is not taken for whole.
      res.destroy();
    },
    hasBegun: () => res.headersSent,
    stop: () => clearInterval(timer),
  };
}

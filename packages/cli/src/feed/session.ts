/**
 * What the messages and the end of a feed connection mean to a subscriber: what is printed, what is answered, what to do next.
 * Pure. Tests: session.test.ts.
 */
import { isObject } from "../system/run-file.ts";

export type FrameEffect =
  | { kind: "event"; line: string; cursor?: string }
  | { kind: "answer"; text: string }
  /** For the person at the terminal, not for the pipe. */
  | { kind: "note"; text: string; cursor?: string }
  | { kind: "nothing" };

/** @param showCursor the user asked for it; otherwise it is taken out again, so that lines are the contract's default frames. */
export function onFrame(text: string, showCursor: boolean, nowMs: number): FrameEffect {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return { kind: "note", text: "a message that is not JSON was skipped" };
  }
  if (!isObject(frame)) return { kind: "nothing" };
  const cursor = typeof frame["cursor"] === "string" ? { cursor: frame["cursor"] } : {};
  switch (frame["type"]) {
    case "event": {
      if (showCursor) return { kind: "event", line: text, ...cursor };
      const { cursor: _cursor, seq: _seq, ...shown } = frame;
      return { kind: "event", line: JSON.stringify(shown), ...cursor };
    }
    case "ping":
      return { kind: "answer", text: JSON.stringify({ type: "pong", timestamp: nowMs }) };
    case "hello":
      return { kind: "note", text: String(frame["message"] ?? "connected"), ...cursor };
    case "live":
      return { kind: "note", text: "caught up, live from here", ...cursor };
    case "pong":
      return { kind: "nothing" };
    default:
      return { kind: "note", text, ...cursor };
  }
}

export type CloseEffect = "done" | "again" | "give_up";

/** docs/signals.md, close codes: the client's business on each. */
export function onClose(code: number): CloseEffect {
  if (code === 1000) return "done";
  return [1003, 1008, 1009, 4003, 4009].includes(code) ? "give_up" : "again";
}

/** 0.5 s × 2ⁿ, full jitter, at most 30 s. @param random 0 … 1 */
export function reconnectDelayMs(attempt: number, random: number): number {
  return Math.min(30_000, 500 * 2 ** Math.min(attempt, 10)) * random;
}

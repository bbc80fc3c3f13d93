/** What the edge needs from outside, as small interfaces: adapters/stream-log.ts has the real log, unit tests have one in memory. */
import type { LogExtent } from "./domain/position.ts";

export interface LogMessage {
  seq: number;
  /** Time the broker stored it, ms. */
  timeMs: number;
  data: Uint8Array;
}

export interface LogReadOptions {
  /** First sequence wanted. */
  from: number;
  /** A promise holds the next message back. */
  onMessage(msg: LogMessage): void | Promise<void>;
  /** Sequences `from … to` are gone for good. */
  onGap(gap: { from: number; to: number }): void;
  onError(error: unknown): void;
}

export interface LogReader {
  /** Everything that was stored when the reader started has been handled. */
  readonly caughtUp: Promise<void>;
  stop(): Promise<void>;
}

export interface StoredExtent extends LogExtent {
  /** Time of the oldest kept message, ms; 0 when nothing is kept. */
  firstTimeMs: number;
}

/** One output stream. */
export interface StreamLog {
  readonly stream: string;
  /** Asks the broker; an answer a fraction of a second old will do unless `fresh`. Rejects when it is not reachable. */
  extent(options?: { fresh?: boolean }): Promise<StoredExtent>;
  read(options: LogReadOptions): LogReader;
  /** Sequence of the first message stored at or after the time; `lastSeq + 1` when there is none yet. */
  firstAtTime(timeMs: number): Promise<number>;
  /** @returns function that ends the listening. */
  onReconnect(listener: () => void): () => void;
}

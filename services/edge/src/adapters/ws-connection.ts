/**
 * One WebSocket and its only writer. `ws` does the handshake, reads and closes; everything we send goes through `send` as ready-made
 * frames written to the raw socket, at most one write in flight, the rest in a byte-bounded queue. With deflate off `ws` itself writes
 * only its close frame, synchronously, so frames never interleave. Tests: slow-reader.int.test.ts.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { isStuck, overflows, type QueueLimits } from "../domain/slow-reader.ts";
import type { Queued, QueueBudget } from "./queue-budget.ts";
import { coalesce, encodeFrame, OP_TEXT, type Rendered, SLICE_BYTES } from "./rfc6455.ts";

export interface ConnectionTotals {
  framesSent: number;
  bytesSent: number;
}

export interface CloseReason {
  code: number;
  reason: string;
}

export interface ConnectionOptions {
  socket: WebSocket;
  raw: Duplex;
  budget: QueueBudget;
  limits: QueueLimits;
  /** After a close frame that cannot get past a stalled reader, the socket is destroyed. */
  terminateAfterMs: number;
  slow: CloseReason;
  monotonicMs: () => number;
  totals: ConnectionTotals;
}

export class WsConnection implements Queued {
  readonly #o: ConnectionOptions;
  #queue: Buffer[] = [];
  #queueBytes = 0;
  #writesInFlight = 0;
  #reportedBytes = 0;
  #progressAtMs = 0;
  #closingSinceMs: number | undefined;
  #closeSent: CloseReason | undefined;
  #onRoom: { belowBytes: number; run: () => void } | undefined;
  /** Frames and bytes handed to this socket. */
  framesSent = 0;
  bytesSent = 0;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#progressAtMs = options.monotonicMs();
  }

  /** Queued here plus handed to the socket but not yet taken by the kernel. */
  get bufferedBytes(): number {
    return this.#queueBytes + this.#o.raw.writableLength;
  }

  get isOpen(): boolean {
    return this.#closingSinceMs === undefined && this.#o.socket.readyState === this.#o.socket.OPEN;
  }

  /** The close we asked for, if any. */
  get closeSent(): CloseReason | undefined {
    return this.#closeSent;
  }

  sendText(text: string): void {
    this.send({ chunks: [encodeFrame(Buffer.from(text), OP_TEXT)], bytes: Buffer.byteLength(text), events: 0 }, 1);
  }

  sendFrame(frame: Buffer): void {
    this.send({ chunks: [frame], bytes: frame.length, events: 0 }, 1);
  }

  /** Never blocks and never throws. A socket whose queue would go over its cap is closed as a slow consumer instead. */
  send(rendered: Rendered, frames: number = rendered.events): void {
    if (!this.isOpen || rendered.chunks.length === 0) return;
    if (overflows({ bufferedBytes: this.bufferedBytes, progressAtMs: 0 }, rendered.bytes, this.#o.limits)) {
      this.dropSlow();
      return;
    }
    if (this.bufferedBytes === 0) this.#progressAtMs = this.#o.monotonicMs();
    for (const chunk of rendered.chunks) {
      this.#queue.push(chunk);
      this.#queueBytes += chunk.length;
    }
    this.framesSent += frames;
    this.bytesSent += rendered.bytes;
    this.#o.totals.framesSent += frames;
    this.#o.totals.bytesSent += rendered.bytes;
    this.#pump();
  }

  /** Calls `run` once, as soon as less than `belowBytes` are buffered; replaces an earlier wish. */
  whenRoom(belowBytes: number, run: () => void): void {
    this.#onRoom = { belowBytes, run };
    this.#checkRoom();
  }

  /** Flushes what is queued, then says goodbye. */
  close(why: CloseReason): void {
    if (!this.isOpen) return;
    this.#closingSinceMs = this.#o.monotonicMs();
    this.#closeSent = why;
    const rest = this.#queue;
    this.#queue = [];
    this.#queueBytes = 0;
    if (this.#o.raw.writable) for (const chunk of coalesce(rest)) this.#o.raw.write(chunk);
    this.#o.socket.close(why.code, why.reason);
    this.#report();
  }

  /** The queue is given up: what a slow reader did not take is its loss, and it is told by the close code. */
  dropSlow(): void {
    this.#queue = [];
    this.#queueBytes = 0;
    this.close(this.#o.slow);
  }

  /** Called by the wheel. */
  checkProgress(nowMs: number): void {
    if (!this.isOpen) {
      // Also when `ws` closed by itself after a protocol error.
      this.#closingSinceMs ??= nowMs;
      if (nowMs - this.#closingSinceMs >= this.#o.terminateAfterMs) this.#o.socket.terminate();
    } else if (isStuck({ bufferedBytes: this.bufferedBytes, progressAtMs: this.#progressAtMs }, nowMs, this.#o.limits)) {
      this.dropSlow();
    }
  }

  /** The socket is gone: give the bytes back. */
  released(): void {
    this.#closingSinceMs ??= this.#o.monotonicMs();
    this.#queue = [];
    this.#queueBytes = 0;
    this.#onRoom = undefined;
    this.#o.budget.changed(this, -this.#reportedBytes);
    this.#reportedBytes = 0;
  }

  #pump(): void {
    const { raw } = this.#o;
    // Bytes of `ws` itself (the 101, a pong) may still wait, as they always do under TLS; only a write of ours wakes this loop again.
    while (this.#queue.length > 0 && (this.#writesInFlight === 0 || raw.writableLength === 0) && raw.writable) {
      const chunk = this.#takeSlice();
      this.#queueBytes -= chunk.length;
      this.#writesInFlight++;
      raw.write(chunk, this.#written);
    }
    this.#report();
  }

  /** The next write: one shared buffer as it is, or small ones joined up to a slice. */
  #takeSlice(): Buffer {
    let count = 0;
    let bytes = 0;
    for (const chunk of this.#queue) {
      if (count > 0 && bytes + chunk.length > SLICE_BYTES) break;
      count++;
      bytes += chunk.length;
    }
    const taken = this.#queue.splice(0, count);
    return taken.length === 1 && taken[0] ? taken[0] : Buffer.concat(taken, bytes);
  }

  readonly #written = (error?: Error | null): void => {
    this.#writesInFlight--;
    // A failed write ends in the socket's close event, which releases everything.
    if (error) return;
    this.#progressAtMs = this.#o.monotonicMs();
    if (this.#queueBytes > 0 && this.isOpen) this.#pump();
    else this.#report();
    this.#checkRoom();
  };

  #checkRoom(): void {
    const wish = this.#onRoom;
    if (!wish || this.bufferedBytes >= wish.belowBytes) return;
    this.#onRoom = undefined;
    wish.run();
  }

  #report(): void {
    const buffered = this.bufferedBytes;
    const delta = buffered - this.#reportedBytes;
    this.#reportedBytes = buffered;
    this.#o.budget.changed(this, delta);
  }
}

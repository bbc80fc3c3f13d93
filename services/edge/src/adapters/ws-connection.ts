/**
 * One WebSocket and its only writer. `ws` does the handshake, reads and closes; everything we send goes through `send` as ready-made
 * frames written to the raw socket, at most one write in flight, the rest in a byte-bounded queue (send-queue.ts). With deflate off `ws`
 * itself writes only its close frame, synchronously, so frames never interleave. Tests: slow-reader.int.test.ts, feeds-slow.int.test.ts.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { isStuck, overflows, type QueueLimits } from "../domain/slow-reader.ts";
import type { Queued, QueueBudget } from "./queue-budget.ts";
import { encodeFrame, OP_PING, OP_TEXT, type Rendered, SLICE_BYTES } from "./rfc6455.ts";
import { type DropOwner, SendQueue } from "./send-queue.ts";

export interface ConnectionTotals {
  framesSent: number;
  bytesSent: number;
  /** Left out for slow readers. */
  framesDropped: number;
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

const NO_BYTES = Buffer.alloc(0);

export class WsConnection implements Queued {
  readonly #o: ConnectionOptions;
  readonly #queue = new SendQueue();
  #writesInFlight = 0;
  #reportedBytes = 0;
  #progressAtMs = 0;
  #closingSinceMs: number | undefined;
  #closeSent: CloseReason | undefined;
  #wishes: Map<object, { isMet: () => boolean; run: () => void }> | undefined;
  /** Since when frames had to be left out. */
  #fullSinceMs: number | undefined;
  /** Frames and bytes handed to this socket. */
  framesSent = 0;
  bytesSent = 0;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#progressAtMs = options.monotonicMs();
  }

  /** Queued here plus handed to the socket but not yet taken by the kernel. */
  get bufferedBytes(): number {
    return this.#queue.bytes + this.#o.raw.writableLength;
  }

  get maxBufferedBytes(): number {
    return this.#o.limits.maxBufferedBytes;
  }

  /** Queued frames that may not be left out. */
  get keptBytes(): number {
    return this.#queue.keptBytes;
  }

  get isOpen(): boolean {
    return this.#closingSinceMs === undefined && this.#o.socket.readyState === this.#o.socket.OPEN;
  }

  /** Monotonic ms of the last sign that the client takes what we send. */
  get progressAtMs(): number {
    return this.#progressAtMs;
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

  sendPing(): void {
    this.sendFrame(encodeFrame(NO_BYTES, OP_PING));
  }

  /** Never blocks and never throws. A socket whose queue would go over its cap is closed as a slow consumer instead. */
  send(rendered: Rendered, frames: number = rendered.events): void {
    if (!this.isOpen || rendered.chunks.length === 0) return;
    if (this.#overflows(rendered.bytes) && !this.#makeRoom(rendered.bytes)) {
      this.dropSlow();
      return;
    }
    this.#accept(rendered, frames, undefined);
  }

  /** Frames that may be left out when the client is too slow: the oldest such frames go first, and their owner tells it in their place. */
  sendDroppable(rendered: Rendered, owner: DropOwner): void {
    if (!this.isOpen || rendered.chunks.length === 0) return;
    if (this.#overflows(rendered.bytes) && !this.#makeRoom(rendered.bytes)) {
      this.#queue.leaveOut(rendered.events, owner);
      this.#o.totals.framesDropped += rendered.events;
      return;
    }
    this.#accept(rendered, rendered.events, owner);
  }

  #overflows(bytes: number): boolean {
    return overflows({ bufferedBytes: this.bufferedBytes, progressAtMs: 0 }, bytes, this.#o.limits);
  }

  /** @returns false when what may be dropped was not enough. */
  #makeRoom(bytes: number): boolean {
    const missing = this.bufferedBytes + bytes - this.#o.limits.maxBufferedBytes;
    // A little more than needed, so that a full queue is not searched for every frame.
    const before = this.#queue.leftOut;
    this.#queue.drop(missing + SLICE_BYTES);
    this.#o.totals.framesDropped += this.#queue.leftOut - before;
    if (this.#o.limits.maxFullMs !== undefined) this.#fullSinceMs ??= this.#o.monotonicMs();
    return !this.#overflows(bytes);
  }

  #accept(rendered: Rendered, frames: number, owner: DropOwner | undefined): void {
    if (this.bufferedBytes === 0) this.#progressAtMs = this.#o.monotonicMs();
    for (const chunk of rendered.chunks) this.#queue.push(chunk, owner);
    this.framesSent += frames;
    this.bytesSent += rendered.bytes;
    this.#o.totals.framesSent += frames;
    this.#o.totals.bytesSent += rendered.bytes;
    this.#pump();
  }

  /** Calls `run` once, as soon as less than `belowBytes` are buffered; replaces an earlier wish of the same owner. */
  whenRoom(owner: object, belowBytes: number, run: () => void): void {
    this.#wish(owner, () => this.bufferedBytes < belowBytes, run);
  }

  /** The same for frames that may not be left out alone: a backlog of data, which makes room when it has to, does not count. */
  whenTaken(owner: object, belowBytes: number, run: () => void): void {
    this.#wish(owner, () => this.keptBytes < belowBytes, run);
  }

  #wish(owner: object, isMet: () => boolean, run: () => void): void {
    this.#wishes ??= new Map();
    this.#wishes.set(owner, { isMet, run });
    this.#checkRoom();
  }

  /** Inbound messages wait in the kernel until `resume`; a few that were read already still come. */
  pause(): void {
    this.#o.socket.pause();
  }

  resume(): void {
    this.#o.socket.resume();
  }

  /** Without a goodbye: nobody is there to hear it. */
  terminate(): void {
    this.#o.socket.terminate();
  }

  /** Flushes what is queued, then says goodbye. */
  close(why: CloseReason): void {
    if (!this.isOpen) return;
    this.#closingSinceMs = this.#o.monotonicMs();
    this.#closeSent = why;
    while (this.#queue.bytes > 0 && this.#o.raw.writable) this.#o.raw.write(this.#queue.takeSlice());
    // A closing handshake needs to read the answer.
    this.#o.socket.resume();
    this.#o.socket.close(why.code, why.reason);
    this.#report();
  }

  /** The queue is given up: what a slow reader did not take is its loss, and it is told by the close code. */
  dropSlow(): void {
    this.#queue.clear();
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
    } else if (this.#fullSinceMs !== undefined) {
      const { maxBufferedBytes, maxFullMs = 0 } = this.#o.limits;
      if (this.bufferedBytes < maxBufferedBytes / 2) this.#fullSinceMs = undefined;
      else if (nowMs - this.#fullSinceMs >= maxFullMs) this.dropSlow();
    }
  }

  /** The socket is gone: give the bytes back. */
  released(): void {
    this.#closingSinceMs ??= this.#o.monotonicMs();
    this.#queue.clear();
    this.#wishes = undefined;
    this.#o.budget.changed(this, -this.#reportedBytes);
    this.#reportedBytes = 0;
  }

  #pump(): void {
    const { raw } = this.#o;
    // Bytes of `ws` itself (the 101, a pong) may still wait, as they always do under TLS; only a write of ours wakes this loop again.
    while (this.#queue.bytes > 0 && (this.#writesInFlight === 0 || raw.writableLength === 0) && raw.writable) {
      const chunk = this.#queue.takeSlice();
      this.#writesInFlight++;
      raw.write(chunk, this.#written);
    }
    this.#report();
  }

  readonly #written = (error?: Error | null): void => {
    this.#writesInFlight--;
    // A failed write ends in the socket's close event, which releases everything.
    if (error) return;
    this.#progressAtMs = this.#o.monotonicMs();
    if (this.#queue.bytes > 0 && this.isOpen) this.#pump();
    else this.#report();
    this.#checkRoom();
  };

  #checkRoom(): void {
    if (!this.#wishes) return;
    for (const [owner, wish] of this.#wishes) {
      // What one wish sends may take the room of the next.
      if (!wish.isMet()) continue;
      this.#wishes.delete(owner);
      wish.run();
    }
  }

  #report(): void {
    const buffered = this.bufferedBytes;
    const delta = buffered - this.#reportedBytes;
    this.#reportedBytes = buffered;
    this.#o.budget.changed(this, delta);
  }
}

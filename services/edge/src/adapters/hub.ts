/**
 * The live side of one output stream: one reader per process while sockets want it, the position, the ring, and when to flush. Who gets what
 * is in view-groups.ts. Nothing here waits for a socket. Tests: fan-out.test.ts, delivery.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type { StreamPosition } from "../domain/position.ts";
import type { LogMessage, LogReader, StreamLog } from "../ports.ts";
import { ByteSlab } from "./byte-slab.ts";
import { FrameRing } from "./frame-ring.ts";
import { decodeEntry } from "./log-entry.ts";
import type { Subscriber, View } from "./subscriber.ts";
import { ViewGroups } from "./view-groups.ts";

const WARM_WITHIN_MS = 5_000;

export interface HubOptions {
  source: StreamLog;
  ringBytes: number;
  /** So many of the newest frames are read into the ring before the first socket joins: after a restart most clients resume from there. */
  warmFrames: number;
  /** The reader outlives its last socket by this long, so that a reconnect finds the ring warm. */
  idleMs: number;
  /** Longest time a frame waits for company. */
  maxLingerMs: number;
  monotonicMs: () => number;
  log: Logger;
  /** A stored frame that cannot be read. It is skipped and the sockets are told a gap. */
  onDamaged(msg: LogMessage, reason: string): void;
}

export class StreamHub {
  readonly ring: FrameRing;
  readonly #o: HubOptions;
  readonly #slab = new ByteSlab();
  readonly #groups = new ViewGroups();
  readonly #advanceListeners = new Set<() => void>();
  readonly #rewindListeners = new Set<(first: StreamPosition) => void>();
  #users = 0;
  #running: Promise<void> | undefined;
  #reader: LogReader | undefined;
  #stopReconnect: (() => void) | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #position = 0;
  #logId = 0;
  #isFlushPlanned = false;
  #lastFlushEndMs = 0;
  #lastFlushCostMs = 0;
  #failed: string | undefined;
  /** Counters for metrics. */
  framesRead = 0;
  newestFrameMs = 0;

  constructor(options: HubOptions) {
    this.#o = options;
    this.ring = new FrameRing(options.ringBytes);
  }

  /** Last sequence read. */
  get position(): number {
    return this.#position;
  }

  /** The position right behind everything that was read. */
  get end(): StreamPosition {
    return { next: this.#position + 1, at: 0 };
  }

  get logId(): number {
    return this.#logId;
  }

  get isReading(): boolean {
    return this.#reader !== undefined;
  }

  get liveCount(): number {
    return this.#groups.size;
  }

  /** Set when the reader gave up; nothing is delivered any more. */
  get failure(): string | undefined {
    return this.#failed;
  }

  /** Makes sure the stream is being read. Rejects when the broker cannot be asked where it ends. */
  async acquire(): Promise<void> {
    this.#users++;
    clearTimeout(this.#idleTimer);
    this.#running ??= this.#start();
    try {
      await this.#running;
    } catch (error) {
      this.#running = undefined;
      this.release();
      throw error;
    }
  }

  release(): void {
    this.#users--;
    if (this.#users > 0) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => void this.stop(), this.#o.idleMs);
    this.#idleTimer.unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#idleTimer);
    const reader = this.#reader;
    this.#reader = undefined;
    this.#running = undefined;
    this.#stopReconnect?.();
    this.#stopReconnect = undefined;
    this.ring.reset(1);
    await reader?.stop();
  }

  /** From now on the socket gets every frame after `end`. */
  attach(subscriber: Subscriber): void {
    this.flush();
    subscriber.state = "live";
    subscriber.notBeforeMs = undefined;
    this.#groups.add(subscriber);
  }

  /** Frames already routed to the socket are still written. */
  detach(subscriber: Subscriber): void {
    if (!this.#groups.has(subscriber)) return;
    this.flush();
    this.#groups.remove(subscriber);
  }

  setView(subscriber: Subscriber, view: View): void {
    const isLive = this.#groups.has(subscriber);
    if (isLive) this.detach(subscriber);
    subscriber.view = view;
    if (isLive) this.attach(subscriber);
  }

  /** Called after frames were read. @returns function that ends the listening. */
  onAdvance(listener: () => void): () => void {
    this.#advanceListeners.add(listener);
    return () => this.#advanceListeners.delete(listener);
  }

  /** Called when the log was lost and begins anew at `first`. */
  onRewind(listener: (first: StreamPosition) => void): void {
    this.#rewindListeners.add(listener);
  }

  /** Writes everything that waits. Cheap when nothing does. */
  flush(): void {
    if (!this.#groups.hasPending) return;
    const begin = this.#o.monotonicMs();
    this.#groups.flush();
    this.#lastFlushEndMs = this.#o.monotonicMs();
    this.#lastFlushCostMs = this.#lastFlushEndMs - begin;
  }

  async #start(): Promise<void> {
    const extent = await this.#o.source.extent({ fresh: true });
    const behind = Math.max(Math.min(extent.firstSeq - 1, extent.lastSeq), extent.lastSeq - this.#o.warmFrames);
    const reader = this.#begin(extent.log, behind);
    this.#stopReconnect = this.#o.source.onReconnect(() => void this.#checkLog());
    if (behind === extent.lastSeq) return;
    const overdue = Promise.withResolvers<never>();
    const timer = setTimeout(() => overdue.reject(new Error("the newest frames could not be read in time")), WARM_WITHIN_MS);
    try {
      await Promise.race([reader.caughtUp, overdue.promise]);
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(logId: number, behind: number): LogReader {
    this.#logId = logId;
    this.#position = behind;
    this.#failed = undefined;
    this.ring.reset(behind + 1);
    const reader = this.#o.source.read({
      from: behind + 1,
      onMessage: (msg) => this.#receive(msg),
      onGap: ({ to }) => this.#skipTo(to + 1),
      onError: (error) => {
        this.#failed = "the stream reader stopped";
        this.#o.log.error({ err: error, stream: this.#o.source.stream }, "edge.reader_stopped");
      },
    });
    this.#reader = reader;
    return reader;
  }

  /** After a reconnect the broker may have come back with another log: its numbers would mean nothing, and waiting would be for ever. */
  async #checkLog(): Promise<void> {
    const reader = this.#reader;
    if (!reader) return;
    let extent: Awaited<ReturnType<StreamLog["extent"]>>;
    try {
      extent = await this.#o.source.extent({ fresh: true });
    } catch (error) {
      // Not reachable again: the next reconnect asks again.
      this.#o.log.warn({ err: error, stream: this.#o.source.stream }, "edge.log_check_failed");
      return;
    }
    if (this.#reader !== reader || (extent.log === this.#logId && extent.lastSeq >= this.#position)) return;
    this.#o.log.error({ stream: this.#o.source.stream, was: this.#position, is: extent.lastSeq }, "edge.log_lost");
    await reader.stop();
    this.flush();
    const from = this.end;
    const first: StreamPosition = { next: extent.firstSeq, at: 0 };
    this.#begin(extent.log, extent.firstSeq - 1);
    for (const subscriber of this.#groups.subscribers()) subscriber.hooks.onGap(from, first);
    for (const listener of this.#rewindListeners) listener(first);
  }

  /** Frames before `seq` were lost to retention before we read them. */
  #skipTo(seq: number): void {
    if (seq <= this.#position + 1) return;
    this.flush();
    const from = this.end;
    this.#position = seq - 1;
    for (const subscriber of this.#groups.subscribers()) subscriber.hooks.onGap(from, this.end);
  }

  #receive(msg: LogMessage): void {
    if (msg.seq <= this.#position) return;
    const decoded = decodeEntry(msg, this.#slab);
    if (!decoded.ok) return this.#damaged(msg, decoded.reason);
    const { entry } = decoded;
    try {
      this.#groups.route(entry);
    } catch (error) {
      return this.#damaged(msg, error instanceof Error ? error.message : String(error));
    }
    entry.forgetParsed();
    this.#position = entry.seq;
    this.framesRead++;
    this.newestFrameMs = entry.timeMs;
    this.ring.push(entry);
    this.#planFlush();
  }

  #damaged(msg: LogMessage, reason: string): void {
    this.#o.onDamaged(msg, reason);
    this.#skipTo(msg.seq + 1);
    this.#planFlush();
  }

  /** End of the tick when flushing is cheap; when writing to many sockets takes long, wait about as long again for company. */
  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    const run = (): void => {
      this.#isFlushPlanned = false;
      this.flush();
      for (const listener of this.#advanceListeners) listener();
    };
    const waitMs = Math.min(this.#o.maxLingerMs, this.#lastFlushEndMs + this.#lastFlushCostMs * 2 - this.#o.monotonicMs());
    if (waitMs < 1) setImmediate(run);
    else setTimeout(run, waitMs);
  }
}

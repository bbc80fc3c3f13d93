/**
 * The live side of one output stream: one reader per process while sockets want it, routing by the keys in the frame header, one rendering
 * per view, one coalesced write per socket and flush. Keeps the ring. Nothing here waits for a socket. Tests: fan-out.test.ts, delivery.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type { StreamPosition } from "../domain/position.ts";
import type { LogMessage, LogReader, StreamLog } from "../ports.ts";
import { FrameRing } from "./frame-ring.ts";
import { decodeEntry, type LogEntry } from "./log-entry.ts";
import { coalesce, type Rendered, SLICE_BYTES } from "./rfc6455.ts";
import { renderShared, type Subscriber, type View } from "./subscriber.ts";

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

/** Sockets with the same view; frames wait here until the flush. */
interface Group {
  view: View;
  members: Set<Subscriber>;
  chunks: Buffer[];
  bytes: number;
  events: number;
}

export class StreamHub {
  readonly ring: FrameRing;
  readonly #o: HubOptions;
  readonly #groups = new Map<string, Map<string | Subscriber, Group>>();
  readonly #groupOf = new Map<Subscriber, Group>();
  readonly #dirty = new Set<Group>();
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
    return this.#groupOf.size;
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
    const byKey = this.#groups.get(subscriber.routingKey) ?? new Map<string | Subscriber, Group>();
    this.#groups.set(subscriber.routingKey, byKey);
    const groupKey = subscriber.view.shareKey ?? subscriber;
    const group = byKey.get(groupKey) ?? { view: subscriber.view, members: new Set(), chunks: [], bytes: 0, events: 0 };
    byKey.set(groupKey, group);
    group.members.add(subscriber);
    this.#groupOf.set(subscriber, group);
  }

  /** Frames already routed to the socket are still written. */
  detach(subscriber: Subscriber): void {
    const group = this.#groupOf.get(subscriber);
    if (!group) return;
    this.flush();
    this.#groupOf.delete(subscriber);
    group.members.delete(subscriber);
    if (group.members.size > 0) return;
    const byKey = this.#groups.get(subscriber.routingKey);
    byKey?.delete(subscriber.view.shareKey ?? subscriber);
    if (byKey?.size === 0) this.#groups.delete(subscriber.routingKey);
  }

  setView(subscriber: Subscriber, view: View): void {
    const isLive = this.#groupOf.has(subscriber);
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
    if (this.#dirty.size === 0) return;
    const begin = this.#o.monotonicMs();
    for (const group of this.#dirty) this.#flushGroup(group);
    this.#dirty.clear();
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
    for (const subscriber of this.#groupOf.keys()) subscriber.hooks.onGap(from, first);
    for (const listener of this.#rewindListeners) listener(first);
  }

  /** Frames before `seq` were lost to retention before we read them. */
  #skipTo(seq: number): void {
    if (seq <= this.#position + 1) return;
    this.flush();
    const from = this.end;
    this.#position = seq - 1;
    for (const subscriber of this.#groupOf.keys()) subscriber.hooks.onGap(from, this.end);
  }

  #receive(msg: LogMessage): void {
    if (msg.seq <= this.#position) return;
    const decoded = decodeEntry(msg);
    if (!decoded.ok) return this.#damaged(msg, decoded.reason);
    const { entry } = decoded;
    try {
      this.#route(entry);
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

  #route(entry: LogEntry): void {
    for (let keyIndex = 0; keyIndex < entry.keys.length; keyIndex++) {
      const byKey = this.#groups.get(entry.keys[keyIndex] ?? "");
      if (!byKey) continue;
      for (const group of byKey.values()) {
        const [first] = group.members;
        if (!first) continue;
        if (group.view.shareKey === undefined) {
          const result = first.render(entry, 0);
          if (result) this.#enqueue(group, result.rendered);
        } else {
          this.#enqueue(group, renderShared(entry, keyIndex, group.view, first.lineage));
        }
      }
    }
  }

  #enqueue(group: Group, rendered: Rendered): void {
    if (rendered.events === 0) return;
    for (const chunk of rendered.chunks) group.chunks.push(chunk);
    group.bytes += rendered.bytes;
    group.events += rendered.events;
    this.#dirty.add(group);
    if (group.bytes >= SLICE_BYTES) {
      this.#flushGroup(group);
      this.#dirty.delete(group);
    }
  }

  #flushGroup(group: Group): void {
    const rendered: Rendered = { chunks: coalesce(group.chunks), bytes: group.bytes, events: group.events };
    group.chunks = [];
    group.bytes = 0;
    group.events = 0;
    const isShared = group.view.shareKey !== undefined;
    for (const member of group.members) {
      if (isShared) member.lineage.count += rendered.events;
      member.outlet.send(rendered);
    }
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

/**
 * Contexts of the lanes this instance owns: leases of family `analyses`, one ordered reader on TOPICS for what comes, one temporary read for
 * what was there when lanes were acquired (lane-rebuild.ts). Contexts are what the retained log says, so there is nothing to save.
 * Tests: lane-contexts.int.test.ts.
 */
import type { LaneLease, Leases } from "@headwater/lanes";
import { type Nats, openReader, type Reader, type ReadMessage } from "@headwater/messaging";
import { decodeFrameHeader, laneOf } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { ContextStore, type ContextLimits, type ContextStats } from "../domain/context-store.ts";
import { Memory, type MemoryEntry } from "../domain/memory.ts";
import { messagesOf } from "../domain/topic-frame.ts";
import type { Arrival, AutoMemory, ContextSource, Feeds, Ownership, Window } from "../ports.ts";
import { type RebuildLane, rebuildLanes } from "./lane-rebuild.ts";

export interface LaneContextsDeps {
  nats: Nats;
  feeds: Feeds;
  clock: Clock;
  log: Logger;
  limits: ContextLimits;
  laneCount: number;
  /** Answers lane requests while a lane is owned. */
  serve(lane: number): () => void;
  onRebuilt(report: { lanes: number; frames: number; ms: number }): void;
}

interface OwnedLane extends RebuildLane {
  lease: LaneLease;
  isReady: boolean;
  stopServing: (() => void) | undefined;
}

const RETRY_MS = 1_000;

type ArrivalListener = (feedId: string, topic: string | undefined, ts: number, seq: number) => void;

export class LaneContexts implements ContextSource, Ownership, AutoMemory {
  /** Set by the composition: leases and lanes need each other. */
  leases: Leases | undefined;
  readonly manualMemory = new Memory();
  readonly #deps: LaneContextsDeps;
  readonly #store: ContextStore;
  readonly #autoMemory: Memory;
  readonly #lanes = new Map<number, OwnedLane>();
  readonly #arrivals = new Set<ArrivalListener>();
  readonly #changes = new Set<(lane: number, isOwned: boolean) => void>();
  readonly #leaving = new Set<Promise<void>>();
  #reader: Reader | undefined;
  #isReading = false;
  #rebuilding: Promise<void> | undefined;
  #isStopped = false;
  #damagedFrames = 0;

  constructor(deps: LaneContextsDeps) {
    this.#deps = deps;
    this.#store = new ContextStore(deps.limits);
    // As many conversations as contexts can be.
    this.#autoMemory = new Memory({ perKey: 3, keys: 100_000 });
    deps.feeds.onChange((feedId, feed) => {
      if (feed !== undefined) return;
      this.#store.dropFeed(feedId);
      this.#autoMemory.clear(feedId);
      this.manualMemory.clear(feedId);
    });
  }

  /** Resolves when nothing new can be missed: lanes may be acquired from then on. */
  async start(): Promise<void> {
    this.#reader = openReader(this.#deps.nats, {
      stream: "TOPICS",
      from: "new",
      log: this.#deps.log,
      onMessage: (message) => this.#live(message),
      onGap: (gap) => this.#deps.log.warn({ stream: "TOPICS", ...gap }, "contexts.gap"),
      onError: (error) => {
        this.#isReading = false;
        this.#deps.log.error({ err: error }, "contexts.reader_stopped");
      },
    });
    await this.#reader.caughtUp;
    this.#isReading = true;
  }

  // Leases

  acquired(lease: LaneLease): void {
    this.#lanes.set(lease.lane, {
      lane: lease.lane,
      lease,
      isReady: false,
      lastSeq: 0,
      skippedSeq: 0,
      stopServing: undefined,
      isHeld: () => lease.isHeld(),
    });
    this.#rebuilding ??= this.#rebuild();
  }

  releaseWanted(lane: number): void {
    const leaving = this.#release(lane);
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  lost(lane: number): void {
    this.#drop(lane);
  }

  giveUp(lane: number): void {
    this.releaseWanted(lane);
  }

  // Ownership

  owns(feedId: string): boolean {
    return this.#ready(feedId) !== undefined;
  }

  epochOf(feedId: string): number | undefined {
    return this.#ready(feedId)?.lease.epoch;
  }

  onChange(listener: (lane: number, isOwned: boolean) => void): () => void {
    this.#changes.add(listener);
    for (const { lane, isReady } of this.#lanes.values()) if (isReady) listener(lane, true);
    return () => this.#changes.delete(listener);
  }

  // Contexts

  window(feedId: string, topic: string | undefined): Window | undefined {
    return this.#store.window(feedId, topic);
  }

  lastArrival(feedId: string, topic: string | undefined): Arrival | undefined {
    return this.#store.lastArrival(feedId, topic);
  }

  topics(feedId: string): string[] {
    return this.#store.topics(feedId);
  }

  onArrival(listener: ArrivalListener): () => void {
    this.#arrivals.add(listener);
    return () => this.#arrivals.delete(listener);
  }

  /** Forgets what is there now; what comes later is new. @returns TOPICS sequence up to which it is forgotten. */
  clear(feedId: string, topic: string | undefined): number {
    const upToSeq = Math.max(this.#lanes.get(this.#laneOf(feedId))?.lastSeq ?? 0, this.#store.lastArrival(feedId, undefined)?.seq ?? 0);
    this.#store.clear(feedId, topic, upToSeq);
    this.#autoMemory.clear(feedId, topic);
    this.manualMemory.clear(feedId, topic);
    return upToSeq;
  }

  // Memory of automatic analyses

  recall(feedId: string, topic: string | undefined): MemoryEntry[] {
    return this.#autoMemory.recall({ feedId, topic });
  }

  remember(feedId: string, topic: string | undefined, entry: MemoryEntry): void {
    this.#autoMemory.remember({ feedId, topic }, entry);
  }

  // Of the composition

  stats(): ContextStats & { damagedFrames: number } {
    return { ...this.#store.stats(), damagedFrames: this.#damagedFrames };
  }

  lanes(): { lane: number; state: "live" | "rebuilding" }[] {
    return [...this.#lanes.values()]
      .sort((a, b) => a.lane - b.lane)
      .map(({ lane, isReady }) => ({ lane, state: isReady ? "live" : "rebuilding" }));
  }

  isReading(): boolean {
    return this.#isReading;
  }

  /** TOPICS sequence up to which everything of our lanes is known. */
  position(): number {
    return this.#reader?.position() ?? 0;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.leases?.leave();
    await Promise.all([...this.#lanes.keys()].map((lane) => this.#release(lane)));
    await Promise.all(this.#leaving);
    await this.leases?.stop();
    await this.#rebuilding;
    await this.#reader?.stop();
  }

  #laneOf(feedId: string): number {
    return laneOf(feedId, this.#deps.laneCount);
  }

  #ready(feedId: string): OwnedLane | undefined {
    const owned = this.#lanes.get(this.#laneOf(feedId));
    return owned?.isReady && owned.lease.isValid() ? owned : undefined;
  }

  async #release(lane: number): Promise<void> {
    const epoch = this.#drop(lane);
    if (epoch !== undefined) await this.leases?.release(lane, epoch);
  }

  #drop(lane: number): number | undefined {
    const owned = this.#lanes.get(lane);
    if (owned === undefined) return undefined;
    this.#lanes.delete(lane);
    owned.stopServing?.();
    if (owned.isReady) this.#tell(lane, false);
    this.#forget(lane);
    return owned.lease.epoch;
  }

  #forget(lane: number): void {
    const isInLane = (feedId: string): boolean => this.#laneOf(feedId) === lane;
    this.#store.dropWhere(isInLane);
    this.#autoMemory.clearWhere(isInLane);
    this.manualMemory.clearWhere(isInLane);
  }

  #tell(lane: number, isOwned: boolean): void {
    for (const listener of this.#changes) listener(lane, isOwned);
  }

  /** One read for all lanes that wait for it; those that come meanwhile have the next one. */
  async #rebuild(): Promise<void> {
    // All lanes of a starting process are taken within one turn or two.
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const waiting = [...this.#lanes.values()].filter(({ isReady }) => !isReady);
      if (waiting.length === 0 || this.#isStopped) break;
      try {
        await this.#rebuildOnce(waiting);
      } catch (error) {
        this.#deps.log.error({ err: error, lanes: waiting.length }, "contexts.rebuild_failed");
        for (const lane of waiting) this.#forget(lane.lane);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#rebuilding = undefined;
  }

  async #rebuildOnce(waiting: readonly OwnedLane[]): Promise<void> {
    const begun = this.#deps.clock.monotonicMs();
    const isCurrent = (lane: RebuildLane): boolean => this.#lanes.get(lane.lane) === lane;
    const owned = new Map<RebuildLane, OwnedLane>(waiting.map((lane) => [lane, lane]));
    for (const lane of waiting) lane.lastSeq = 0;
    const frames = await rebuildLanes(waiting, {
      ...this.#deps,
      isStopped: () => this.#isStopped,
      isCurrent,
      apply: (lane, message) => {
        const known = owned.get(lane);
        if (known) this.#apply(known, message);
      },
      memory: this.#autoMemory,
      store: this.#store,
    });
    if (this.#isStopped) return;
    const done = waiting.filter(isCurrent);
    for (const lane of done) {
      lane.isReady = true;
      lane.stopServing = this.#deps.serve(lane.lane);
      this.#tell(lane.lane, true);
    }
    this.#deps.onRebuilt({ lanes: done.length, frames, ms: this.#deps.clock.monotonicMs() - begun });
  }

  #live(message: ReadMessage): void {
    const owned = this.#lanes.get(Number(message.subject.slice(message.subject.lastIndexOf(".") + 1)));
    if (owned === undefined) return;
    if (!owned.isReady) {
      owned.skippedSeq = message.seq;
      return;
    }
    if (message.seq <= owned.lastSeq) return;
    const newest = this.#apply(owned, message);
    for (const { feedId, topic, ts, seq } of newest) for (const listener of this.#arrivals) listener(feedId, topic, ts, seq);
  }

  /** @returns the newest message of each topic in the frame. */
  #apply(owned: OwnedLane, message: ReadMessage): Iterable<{ feedId: string; topic: string | undefined; ts: number; seq: number }> {
    owned.lastSeq = message.seq;
    const newest = new Map<string, { feedId: string; topic: string | undefined; ts: number; seq: number }>();
    try {
      const frame = decodeFrameHeader(message.data);
      if (!frame.ok) throw new SyntaxError(frame.reason);
      if (frame.header.n === 0) return [];
      for (const { feedId, topic, ts, json } of messagesOf(frame.header, frame.body)) {
        this.#store.append(feedId, topic, { ts, json, seq: message.seq });
        newest.set(`${feedId}:${topic ?? ""}`, { feedId, topic, ts, seq: message.seq });
      }
    } catch (error) {
      this.#damagedFrames++;
      this.#deps.log.error({ err: error, seq: message.seq, lane: owned.lane }, "contexts.frame_skipped");
    }
    return newest.values();
  }
}

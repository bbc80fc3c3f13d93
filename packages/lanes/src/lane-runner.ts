/**
 * One owned lane from lease to release: take over, restore, replay without emitting, then fold and publish until told to stop.
 * Any failure that leaves the state in doubt drops it and starts again from the snapshot. Tests: lanes.int.test.ts.
 */
import {
  getMessage,
  type Nats,
  openReader,
  publishDeadLetter,
  PublishError,
  type Publisher,
  purgeStream,
  type Reader,
  type RegistryView,
  streamState,
} from "@headwater/messaging";
import { inputStreamName } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Pool } from "pg";
import { FoldFailure, Stopping } from "./errors.ts";
import { FoldEngine, type Item, itemsOf } from "./fold-engine.ts";
import { buildFrames, type BuiltFrame, type FrameContext, type ItemOutputs, OutputTooLarge, positionFrame } from "./frame-batch.ts";
import { FrameWriter, type LastFrame } from "./frame-writer.ts";
import { InputQueue } from "./input-queue.ts";
import { LaneState } from "./lane-state.ts";
import type { LaneLease } from "./leases.ts";
import { type RegistryLog } from "./registry-log.ts";
import { restoreState } from "./restore.ts";
import { CorruptSnapshot, type Head, SnapshotStore } from "./snapshot-store.ts";
import { Snapshotter } from "./snapshotter.ts";
import { canonicalJson, hashState } from "./canonical.ts";
import { type LaneFamily, type LaneOptions, type LanePhase, type LaneStatus, LogReplaced, NewerSnapshot, OwnershipLost } from "./types.ts";

export interface RunnerDeps<Config> {
  nats: Nats;
  publisher: Publisher;
  pool: Pool;
  registry: RegistryView;
  configAt: (reg: number) => Config;
  clock: Clock;
  log: Logger;
  options: LaneOptions;
}

/** Frames may be this large at most; JetStream's limit is 1 MiB with headers. */
const HARD_FRAME_BYTES = 1024 * 1024 - 16 * 1024;
/** Small enough that timers (lease renewals) of the process run on time between chunks. */
const REPLAY_CHUNK_EVENTS = 1_024;
/** 16 lanes over one connection stay below the server's limit of 64 MiB per connection. */
const BYTES_IN_FLIGHT = 2_304 * 1024;
const ADOPT_EVERY_MS = 1_000;
/** With that many changes since the oldest snapshot, config is adopted once a minute only: frames carry the list. */
const MANY_CHANGES = 256;
const STOP_SNAPSHOT_WITHIN_MS = 5_000;

interface Waiter {
  seq: number;
  resolve(): void;
  reject(error: Error): void;
}

export class LaneRunner<Input, State, Config> {
  readonly lane: number;
  readonly epoch: number;
  readonly #family: LaneFamily<Input, State, Config>;
  readonly #lease: LaneLease;
  readonly #deps: RunnerDeps<Config>;
  readonly #log: Logger;
  readonly #store: SnapshotStore;
  readonly #queue = new InputQueue();
  readonly #waiters = new Set<Waiter>();
  readonly #skipped = new Set<string>();
  readonly #ended = Promise.withResolvers<void>();
  #phase: LanePhase = "restoring";
  #writer: FrameWriter;
  #reader: Reader | undefined;
  #state: LaneState<State>;
  #engine: FoldEngine<Input, State, Config>;
  #snapshotter: Snapshotter<State> | undefined;
  #registryLog: RegistryLog | undefined;
  #stop: "no" | "graceful" | "now" = "no";
  /** Folded, perhaps not yet in a frame; `at` = items folded of the message after `seq`. */
  #folded = 0;
  #resumeAt = 0;
  #confirmed = 0;
  #eventCount = 0;
  #deadLetters = 0;
  #lostInputs = 0;
  #lastFrameAt = 0;
  #lastAdoptAt = Number.NEGATIVE_INFINITY;
  #purgeCheckedAt = 0;
  #cautiousUntil = 0;
  #gapTo = 0;
  #frameCount = 0;

  constructor(family: LaneFamily<Input, State, Config>, lease: LaneLease, deps: RunnerDeps<Config>) {
    this.lane = lease.lane;
    this.epoch = lease.epoch;
    this.#family = family;
    this.#lease = lease;
    this.#deps = deps;
    this.#log = deps.log.child({ lane: lease.lane, family: family.family });
    this.#store = new SnapshotStore(deps.pool, { family: family.family, gen: family.gen, lane: lease.lane }, family.schema);
    this.#writer = this.#newWriter();
    this.#state = this.#newState();
    this.#engine = new FoldEngine(family, this.#state, deps.configAt);
  }

  /** Resolves when the lane is no longer worked on. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }
  get isLive(): boolean {
    return this.#phase === "live";
  }
  /** Somebody waits for a position: do not hold it back. */
  get #flushWanted(): boolean {
    return this.#waiters.size > 0;
  }
  get confirmed(): number {
    return this.#confirmed;
  }

  /**
   * Works until stopped or the lane is lost. Resolves to `fatal` when going on would be guessing.
   * Never rejects.
   */
  async run(): Promise<{ outcome: "stopped" } | { outcome: "lost" } | { outcome: "fatal"; error: Error }> {
    let result: Awaited<ReturnType<LaneRunner<Input, State, Config>["run"]>> = { outcome: "stopped" };
    for (let failures = 0; this.#stop === "no"; failures++) {
      const begin = this.#deps.clock.monotonicMs();
      try {
        await this.#restore();
        await this.#live();
      } catch (error) {
        if (error instanceof Stopping) break;
        if (error instanceof OwnershipLost || !this.#lease.isHeld()) {
          if (this.#stop === "no") this.#log.warn({ err: error, epoch: this.epoch }, "lanes.lost");
          result = { outcome: "lost" };
          break;
        }
        if (error instanceof NewerSnapshot || error instanceof LogReplaced) {
          result = { outcome: "fatal", error };
          break;
        }
        if (error instanceof FoldFailure) await this.#notePoison(error);
        else this.#log.error({ err: error }, "lanes.restarted");
        if (this.#deps.clock.monotonicMs() - begin > 30_000) failures = 0;
        await this.#queue.wait(error instanceof FoldFailure ? 10 : Math.min(5_000, 50 * 2 ** failures));
      } finally {
        await this.#reader?.stop();
        this.#reader = undefined;
        this.#queue.clear();
      }
    }
    this.#phase = "stopping";
    // A round that still runs must not outlive the lease by much; it is fenced by its epoch anyway.
    await this.#snapshotter?.idle();
    for (const waiter of this.#waiters) waiter.reject(new OwnershipLost("the lane moved"));
    this.#waiters.clear();
    this.#ended.resolve();
    return result;
  }

  /** `graceful`: finish the frame, write a snapshot. `now`: publish nothing more. */
  stop(how: "graceful" | "now"): void {
    if (this.#stop === "now") return;
    this.#stop = how;
    if (how === "now") this.#writer.stop();
    this.#queue.wake();
  }

  status(): LaneStatus {
    return {
      lane: this.lane,
      epoch: this.epoch,
      state: this.#phase,
      in: this.#confirmed,
      lag: this.#queue.length + this.#queue.pendingBehind,
      reg: this.#registryLog?.current ?? 0,
      bytes: this.#state.bytes,
      keys: this.#state.keys,
      events: this.#eventCount,
      frames: this.#frameCount + this.#writer.frames,
      snapshotIn: this.#snapshotter?.inSeq ?? 0,
      snapshotAgeMs: this.#snapshotter && this.#folded > this.#snapshotter.inSeq ? Math.round(this.#snapshotter.ageMs) : 0,
      deadLetters: this.#deadLetters,
      lostInputs: this.#lostInputs,
    };
  }

  /** Input position that is safe to forget: nothing ever replays from before it. */
  safePoint(): number {
    return this.#snapshotter?.prevInSeq ?? 0;
  }

  /** Resolves when input message `seq` has been folded and its outputs stored. */
  settledAt(seq: number, withinMs: number): Promise<void> {
    if (this.#confirmed >= seq) return Promise.resolve();
    if (this.#phase === "stopping") return Promise.reject(new OwnershipLost("the lane moved"));
    this.#queue.wake();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`lane ${this.lane} is at ${this.#confirmed}, ${seq} was not reached in ${withinMs} ms`));
      }, withinMs);
      const waiter: Waiter = {
        seq,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  /** Looks at the state of a key between two chunks, loading it when it is cold. `read` must not change it. */
  async read<T>(key: string, read: (state: State | undefined) => T): Promise<T> {
    const state = this.#state;
    await this.#prefetch(state.coldCandidates([key]), false);
    if (this.#phase !== "live" || state !== this.#state) throw new OwnershipLost("the lane is not live here");
    return read(state.isHot(key) ? state.peek(key) : undefined);
  }

  /** Hash of the whole state at the confirmed position, hot and cold. */
  async stateHash(): Promise<{ in: number; hash: string; keys: number }> {
    if (this.#phase !== "live" || this.#folded !== this.#confirmed) throw new Error("the lane is busy");
    const at = this.#confirmed;
    // Taken at one instant: the hot keys, before anything is awaited.
    const state = this.#state;
    const entries = new Map<string, string>();
    for (const [key, json] of state.entries()) entries.set(key, canonicalJson(json));
    for (const row of await this.#store.allCold()) {
      if (entries.has(row.key) || state.isDeleted(row.key)) continue;
      entries.set(row.key, canonicalJson(this.#family.serialize(this.#family.deserialize(row.json, row.schema))));
    }
    if (this.#confirmed !== at || this.#folded !== at) throw new Error("the lane is busy");
    return { in: at, hash: hashState(entries), keys: entries.size };
  }

  // Taking over and restoring

  async #restore(): Promise<void> {
    this.#phase = "restoring";
    this.#frameCount += this.#writer.frames;
    this.#writer = this.#newWriter();
    const head = await this.#usableHead();
    const reg = this.#deps.registry.position();
    const last = await this.#writer.takeOver((frame) => this.#takeOverFrame(frame, head?.inSeq ?? 0, reg));
    await this.#deps.options.onCrashPoint?.("after_take_over", { lane: this.lane });
    this.#lastFrameAt = this.#deps.clock.monotonicMs();

    const position = last?.header.in ?? head?.inSeq ?? 0;
    // The last message was split and only its first `at` items are in frames.
    const partial = last?.header.at;
    const whole = partial === undefined ? position : position - 1;
    const restored = await restoreState({
      store: this.#store,
      emptyState: () => this.#newState(),
      epoch: this.epoch,
      notAbove: whole,
      knownChanges: last?.header.regs ?? [],
      log: this.#log,
    });
    this.#state = restored.state;
    this.#registryLog = restored.registryLog;
    if (this.#registryLog.length === 0) this.#registryLog.adopt(1, last?.header.reg ?? reg);
    this.#engine = new FoldEngine(this.#family, this.#state, this.#deps.configAt);
    this.#snapshotter = new Snapshotter(
      {
        state: this.#state,
        store: this.#store,
        registryLog: this.#registryLog,
        lane: this.lane,
        epoch: this.epoch,
        schema: this.#family.schema,
        options: this.#deps.options,
        clock: this.#deps.clock,
        log: this.#log,
      },
      restored,
    );
    this.#skipped.clear();
    for (const item of await this.#store.skippedItems()) this.#skipped.add(`${item.seq}/${item.index}`);
    await this.#deps.registry.waitFor(this.#registryLog.current, 10_000);

    this.#folded = this.#confirmed = restored.inSeq;
    this.#resumeAt = partial ?? 0;
    this.#openReader(restored.inSeq + 1);
    const begin = this.#deps.clock.monotonicMs();
    await this.#replayUntil(whole);
    this.#folded = this.#confirmed = whole;
    this.#log.info(
      { epoch: this.epoch, from: restored.inSeq, to: whole, at: partial, durationMs: Math.round(this.#deps.clock.monotonicMs() - begin) },
      "lanes.live",
    );
    this.#phase = "live";
  }

  /** The newest snapshot's header, after checking that the log is still the one it was made from. @throws LogReplaced */
  async #usableHead(): Promise<Head | undefined> {
    const [head, last, input] = await Promise.all([
      this.#store.head(),
      this.#writer.lastFrame(),
      streamState(this.#deps.nats, inputStreamName(this.#family.input, this.lane)),
    ]);
    const folded = last?.header.in ?? head?.inSeq ?? 0;
    if (input.lastSeq >= folded) return head;
    const error = new LogReplaced(
      `${inputStreamName(this.#family.input, this.lane)} ends at ${input.lastSeq}, but ${folded} was folded already`,
    );
    // With frames of the old log still there nobody can tell which inputs were answered.
    if (last !== undefined) throw error;
    this.#log.error({ err: error }, "lanes.log_replaced");
    await this.#store.reset();
    return undefined;
  }

  #takeOverFrame(last: LastFrame | undefined, headIn: number, reg: number) {
    const header = last?.header;
    const context: FrameContext = {
      family: this.#family.output,
      gen: this.#family.gen,
      epoch: this.epoch,
      reg: header?.reg ?? reg,
      regs: header?.regs ?? [[headIn + 1, reg]],
    };
    return positionFrame(context, header?.in ?? headIn, header?.at);
  }

  #openReader(fromSeq: number): void {
    this.#reader = openReader(this.#deps.nats, {
      stream: inputStreamName(this.#family.input, this.lane),
      from: { seq: fromSeq },
      maxBytesInFlight: BYTES_IN_FLIGHT,
      log: this.#log,
      onMessage: (message) => this.#queue.push(message),
      onGap: ({ from, to }) => {
        this.#lostInputs += to - from + 1;
        // Loud, not fatal: the inputs are gone for good, and refusing to run would not bring them back.
        this.#log.error({ from, to }, "lanes.input_lost");
        this.#gapTo = Math.max(this.#gapTo, to);
        this.#queue.wake();
      },
    });
  }

  /** End of a gap that the reader has passed with nothing behind it yet. */
  get #skippedByGap(): number | undefined {
    return this.#queue.length === 0 && this.#gapTo > this.#folded && (this.#reader?.position() ?? 0) >= this.#gapTo
      ? this.#gapTo
      : undefined;
  }

  /** Folds without emitting everything up to and including message `last`. */
  async #replayUntil(last: number): Promise<void> {
    while (this.#folded < last) {
      if (this.#stop !== "no" || !this.#lease.isHeld()) throw this.#stopError();
      const items: Item<Input>[] = [];
      let reg: number | undefined;
      for (let next = this.#queue.peek(); next && next.seq <= last && items.length < REPLAY_CHUNK_EVENTS; next = this.#queue.peek()) {
        const used = this.#registryLog?.at(next.seq) ?? 0;
        if (reg !== undefined && used !== reg) break;
        reg = used;
        this.#queue.shift();
        for (const item of this.#decode(next)) items.push(item);
      }
      if (items.length === 0) {
        const next = this.#queue.peek();
        // A gap in front of what comes next, or the whole rest is gone.
        if ((next && next.seq > last) || (this.#skippedByGap ?? 0) >= last) return;
        await this.#queue.wait(1_000);
        continue;
      }
      await this.#prepare(items);
      this.#engine.fold(items, reg ?? 0, false);
      this.#eventCount += items.length;
      this.#folded = items.at(-1)?.seq ?? this.#folded;
      await yieldToTimers();
      // Long replays with eviction: what is over the budget must be able to leave memory.
      await this.#roomInMemory(true);
    }
  }

  // Live folding

  async #live(): Promise<void> {
    while (this.#stop !== "now") {
      if (!this.#lease.isHeld() || this.#snapshotter?.isFenced) throw new OwnershipLost("the lease is gone");
      const isStopping = this.#stop === "graceful";
      if (isStopping && this.#resumeAt === 0) break;
      const items = this.#nextChunk();
      if (items.length > 0) await this.#foldChunk(items);
      else if (this.#skippedByGap !== undefined) this.#folded = this.#skippedByGap;
      else await this.#idle();
      await this.#afterChunk();
    }
    if (this.#stop === "now") throw this.#stopError();
    await this.#finish();
    throw new Stopping();
  }

  #nextChunk(): Item<Input>[] {
    const items: Item<Input>[] = [];
    const limit = this.#folded < this.#cautiousUntil ? 1 : this.#deps.options.maxChunkEvents;
    for (let next = this.#queue.peek(); next && items.length < limit; next = this.#queue.peek()) {
      const decoded = this.#decode(next);
      if (items.length > 0 && items.length + decoded.length > limit) break;
      this.#queue.shift();
      for (const item of decoded) items.push(item);
      // A message that was begun by another owner is finished with that owner's config, alone.
      if (this.#resumeAt > 0) break;
    }
    return items;
  }

  async #foldChunk(items: Item<Input>[]): Promise<void> {
    const first = items[0];
    const last = items.at(-1);
    const registryLog = this.#registryLog;
    if (!first || !last || !registryLog) return;
    if (this.#resumeAt === 0) this.#adoptConfig(first.seq, registryLog);
    const reg = registryLog.at(first.seq);
    await this.#prepare(items);

    let fresh = items;
    if (this.#resumeAt > 0) {
      const done = items.filter((item) => item.index < this.#resumeAt);
      fresh = items.filter((item) => item.index >= this.#resumeAt);
      if (done.length > 0) this.#engine.fold(done, reg, false);
      this.#resumeAt = 0;
    }
    const { outputs, effects } = this.#engine.fold(fresh, reg, true);
    this.#eventCount += items.length;
    this.#folded = last.seq;

    for (const item of fresh) {
      if (item.kind === "bad") await this.#deadLetter(item.seq, item.index, item.reason, item.raw);
    }
    if (effects.length > 0) {
      const { publisher } = this.#deps;
      await Promise.all(effects.map((one) => this.#untilDone(() => publisher.publish(one.subject, one.payload, { msgId: one.msgId }))));
    }
    if (outputs.some((item) => item.outputs.length > 0)) {
      for (const frame of this.#framesOf(this.#frameContext(reg, registryLog), outputs)) await this.#writer.publish(frame);
      this.#confirm(last.seq);
    } else await yieldToTimers();
  }

  #framesOf(context: FrameContext, outputs: readonly ItemOutputs[]): BuiltFrame[] {
    try {
      return buildFrames(context, outputs, this.#deps.options.maxFrameBytes, HARD_FRAME_BYTES);
    } catch (error) {
      // What no message can hold is poison like any other.
      throw error instanceof OutputTooLarge ? new FoldFailure(error.at, error) : error;
    }
  }

  /** Nothing to fold: waits for input, or until a position frame, a snapshot or an idle frame is due. */
  async #idle(): Promise<void> {
    const { options, clock } = this.#deps;
    const sinceFrame = clock.monotonicMs() - this.#lastFrameAt;
    const behind = this.#folded > this.#confirmed;
    if ((behind && (this.#flushWanted || sinceFrame >= options.emptyFrameMs)) || sinceFrame >= options.idleFrameMs) return;
    const frameInMs = behind ? options.emptyFrameMs - sinceFrame : options.idleFrameMs - sinceFrame;
    const snapshotInMs = this.#folded > (this.#snapshotter?.inSeq ?? 0) ? Math.max(20, this.#snapshotter?.dueInMs ?? 0) : frameInMs;
    await this.#queue.wait(Math.max(1, Math.min(frameInMs, snapshotInMs, 1_000)));
  }

  async #afterChunk(): Promise<void> {
    const { options, clock } = this.#deps;
    const snapshotter = this.#snapshotter;
    const registryLog = this.#registryLog;
    if (!snapshotter || !registryLog || this.#resumeAt > 0) return;
    const sinceFrame = clock.monotonicMs() - this.#lastFrameAt;
    const isSnapshotDue = snapshotter.isDue(this.#eventCount, this.#folded);
    const behind = this.#folded > this.#confirmed;
    if ((behind && (this.#flushWanted || isSnapshotDue || sinceFrame >= options.emptyFrameMs)) || sinceFrame >= options.idleFrameMs) {
      await this.#writer.publish(positionFrame(this.#frameContext(registryLog.at(this.#folded), registryLog), this.#folded, undefined));
      this.#confirm(this.#folded);
    }
    if (isSnapshotDue && this.#folded === this.#confirmed) snapshotter.begin(this.#confirmed, this.#eventCount);
    await this.#roomInMemory(false);
    await this.#purgeInput();
    // A busy lane lets chunks fill, so that a frame and its fsync serve more events.
    const sinceLast = clock.monotonicMs() - this.#lastFrameAt;
    if (this.#queue.length > 0 && this.#queue.length < 64 && sinceLast < options.chunkMs) {
      await new Promise((resolve) => setTimeout(resolve, options.chunkMs - sinceLast));
    }
  }

  #confirm(seq: number): void {
    this.#confirmed = seq;
    this.#lastFrameAt = this.#deps.clock.monotonicMs();
    for (const waiter of this.#waiters) {
      if (waiter.seq > seq) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  async #finish(): Promise<void> {
    const registryLog = this.#registryLog;
    const snapshotter = this.#snapshotter;
    if (!registryLog || !snapshotter || this.#resumeAt > 0) return;
    if (this.#folded > this.#confirmed) {
      await this.#writer.publish(positionFrame(this.#frameContext(registryLog.at(this.#folded), registryLog), this.#folded, undefined));
      this.#confirm(this.#folded);
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_SNAPSHOT_WITHIN_MS);
    });
    await Promise.race([
      late,
      (async () => {
        await snapshotter.idle();
        if (this.#confirmed > snapshotter.inSeq) {
          snapshotter.begin(this.#confirmed, this.#eventCount);
          await snapshotter.idle();
        }
      })(),
    ]);
    clearTimeout(timer);
  }

  /** Over twice the budget nothing is folded until a snapshot lets keys go. */
  async #roomInMemory(isReplaying: boolean): Promise<void> {
    const snapshotter = this.#snapshotter;
    if (!snapshotter) return;
    // In a replay every whole message up to the last frame is confirmed already.
    if (isReplaying && snapshotter.isDue(this.#eventCount, this.#folded)) snapshotter.begin(this.#folded, this.#eventCount);
    while (this.#state.isOverHardLimit && this.#stop === "no" && this.#lease.isHeld()) {
      const inSeq = isReplaying ? this.#folded : this.#confirmed;
      if (!isReplaying && this.#folded > this.#confirmed) return;
      if (!snapshotter.isRunning && snapshotter.isDue(this.#eventCount, inSeq)) snapshotter.begin(inSeq, this.#eventCount);
      const isDurable = await snapshotter.idle();
      if (!isDurable || !snapshotter.isRunning) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #purgeInput(): Promise<void> {
    const { options, clock, nats } = this.#deps;
    if (clock.monotonicMs() - this.#purgeCheckedAt < options.purgeCheckMs) return;
    this.#purgeCheckedAt = clock.monotonicMs();
    try {
      const stream = inputStreamName(this.#family.input, this.lane);
      const state = await streamState(nats, stream);
      const safe = this.safePoint();
      if (state.bytes < options.purgeAboveShare * state.maxBytes || safe < state.firstSeq) return;
      const purged = await purgeStream(nats, stream, { seq: safe + 1 });
      this.#log.info({ stream, below: safe + 1, purged }, "lanes.input_purged");
    } catch (error) {
      this.#log.warn({ err: error }, "lanes.purge_failed");
    }
  }

  // Poison

  async #notePoison(failure: FoldFailure): Promise<void> {
    const { seq, index } = failure.at;
    this.#cautiousUntil = Math.max(this.#cautiousUntil, seq);
    try {
      const tries = await this.#store.countPoison(failure.at, failure.message);
      this.#log.error({ err: failure, seq, index, tries }, "lanes.fold_failed");
      if (tries < this.#deps.options.poisonTries) return;
      await this.#deadLetter(seq, index, failure.message, await this.#rawItem(seq, index));
      await this.#store.skipPoison(failure.at);
    } catch (error) {
      this.#log.error({ err: error, seq, index }, "lanes.poison_not_recorded");
    }
  }

  async #rawItem(seq: number, index: number): Promise<string> {
    const message = await getMessage(this.#deps.nats, inputStreamName(this.#family.input, this.lane), seq);
    if (!message) return "";
    const text = new TextDecoder().decode(message.data);
    return text.split("\n")[index] ?? text;
  }

  async #deadLetter(seq: number, index: number, reason: string, data: string): Promise<void> {
    const stream = inputStreamName(this.#family.input, this.lane);
    const letter = { reason, origin: { stream, seq, index }, data };
    await this.#untilDone(() => publishDeadLetter(this.#deps.publisher, this.#family.service, letter));
    this.#deadLetters++;
    this.#log.warn({ stream, seq, index }, "lanes.dead_letter");
  }

  // Small things

  #decode(message: { seq: number; data: Uint8Array }): Item<Input>[] {
    return itemsOf(this.#family, message, (seq, index) => this.#skipped.size > 0 && this.#skipped.has(`${seq}/${index}`));
  }

  async #prepare(items: readonly Item<Input>[]): Promise<void> {
    this.#state.forgetAbsent();
    await this.#prefetch(this.#engine.coldKeys(items), true);
  }

  /** @param isForFold marks keys without a row as absent, so that the fold may create them. */
  async #prefetch(keys: readonly string[], isForFold: boolean): Promise<void> {
    if (keys.length === 0) return;
    const state = this.#state;
    const rows = await (isForFold ? this.#untilDone(() => this.#loadCold(keys)) : this.#loadCold(keys));
    const found = new Set<string>();
    for (const row of rows) {
      found.add(row.key);
      state.load(row.key, row.json, row.schema);
    }
    if (isForFold) for (const key of keys) if (!found.has(key)) state.markAbsent(key);
  }

  async #loadCold(keys: readonly string[]): ReturnType<SnapshotStore["loadCold"]> {
    try {
      return await this.#store.loadCold(keys);
    } catch (error) {
      if (!(error instanceof CorruptSnapshot)) throw error;
      this.#log.error({ err: error }, "lanes.cold_key_corrupt");
      const before = this.#snapshotter?.prevInSeq ?? 0;
      await this.#store.truncate(error.inSeq > before ? before : 0, this.epoch);
      throw error;
    }
  }

  /** Repeats something idempotent while a broker or a database is away: the folded state is worth more than a restart. */
  async #untilDone<T>(act: () => Promise<T>): Promise<T> {
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 2_000)) {
      try {
        return await act();
      } catch (error) {
        const isFinal =
          error instanceof CorruptSnapshot || error instanceof NewerSnapshot || (error instanceof PublishError && !error.retryable);
        if (isFinal || this.#stop !== "no" || !this.#lease.isHeld()) throw error;
        this.#log.warn({ err: error, waitMs }, "lanes.dependency_retried");
      }
      await this.#queue.wait(waitMs);
    }
  }

  /** Takes a newer registry position into use, at a chunk boundary, at most once a second. */
  #adoptConfig(firstSeq: number, registryLog: RegistryLog): void {
    const reg = this.#deps.registry.position();
    if (reg <= registryLog.current) return;
    const now = this.#deps.clock.monotonicMs();
    const every = registryLog.length >= MANY_CHANGES ? 60_000 : ADOPT_EVERY_MS;
    if (now - this.#lastAdoptAt < every) return;
    this.#lastAdoptAt = now;
    registryLog.adopt(firstSeq, reg);
  }

  #frameContext(reg: number, registryLog: RegistryLog): FrameContext {
    const { output, gen } = this.#family;
    return { family: output, gen, epoch: this.epoch, reg, regs: registryLog.since(this.safePoint()) };
  }

  #newWriter(): FrameWriter {
    return new FrameWriter(this.#deps.nats, this.#deps.publisher, this.#family, this.#lease, this.#deps.options, this.#deps.log);
  }

  #newState(): LaneState<State> {
    return new LaneState(this.#family, this.#deps.options.hotBytesPerLane);
  }

  #stopError(): Error {
    return this.#lease.isHeld() ? new Stopping() : new OwnershipLost("the lease is gone");
  }
}

/** Chunks that wait for nothing would keep the process from reading sockets and renewing leases. */
function yieldToTimers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * One life of a lane's state: take over, restore, replay without emitting, fold and publish until told to stop. Ends by throwing
 * (see lane-runner.ts for what each error means); the state is never used after that. Tests: lanes.int.test.ts.
 */
import { streamState } from "@headwater/messaging";
import { inputStreamName } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import { FoldFailure, Stopping } from "./errors.ts";
import { FoldEngine, type Item } from "./fold-engine.ts";
import { buildFrames, type BuiltFrame, type FrameContext, type ItemOutputs, OutputTooLarge, positionFrame } from "./frame-batch.ts";
import type { FrameWriter, LastFrame } from "./frame-writer.ts";
import { LaneInput } from "./lane-input.ts";
import type { LaneOutlets } from "./lane-outlets.ts";
import type { LaneProgress } from "./lane-progress.ts";
import type { RunnerDeps } from "./lane-runner.ts";
import { LaneState } from "./lane-state.ts";
import type { LaneLease } from "./leases.ts";
import type { RegistryLog } from "./registry-log.ts";
import { type Restored, restoreState } from "./restore.ts";
import { CorruptSnapshot, type Head, type SnapshotStore } from "./snapshot-store.ts";
import { Snapshotter } from "./snapshotter.ts";
import { type LaneFamily, LogReplaced, OwnershipLost } from "./types.ts";

/** Small enough that timers (lease renewals) of the process run on time between chunks. */
const REPLAY_CHUNK_EVENTS = 1_024;
/** With that many changes since the oldest snapshot, config is adopted once a minute only: frames carry the list. */
const MANY_CHANGES = 256;
const REGISTRY_STREAM = "REGISTRY";
const STOP_SNAPSHOT_WITHIN_MS = 5_000;

export interface SessionDeps<Input, State, Config> extends RunnerDeps<Config> {
  family: LaneFamily<Input, State, Config>;
  lease: LaneLease;
  writer: FrameWriter;
  store: SnapshotStore;
  progress: LaneProgress;
  outlets: LaneOutlets;
  log: Logger;
  stopping(): "no" | "graceful" | "now";
  /** Up to this input, messages are folded one at a time: one of them made the fold throw. */
  cautiousUntil: number;
}

export async function openSession<Input, State, Config>(
  deps: SessionDeps<Input, State, Config>,
): Promise<LaneSession<Input, State, Config>> {
  const { family, writer, lease, store } = deps;
  const head = await usableHead(deps);
  const reg = deps.registry.position();
  const last = await writer.takeOver((frame) => takeOverFrame(deps, frame, head?.inSeq ?? 0, reg));
  await deps.options.onCrashPoint?.("after_take_over", { lane: lease.lane });
  const position = last?.header.in ?? head?.inSeq ?? 0;
  // The last message was split and only its first `at` items are in frames.
  const partial = last?.header.at;
  const whole = partial === undefined ? position : position - 1;
  const restored = await restoreState({
    store,
    emptyState: () => new LaneState(family, deps.options.hotBytesPerLane),
    epoch: lease.epoch,
    notAbove: whole,
    knownChanges: last?.header.regs ?? [],
    log: deps.log,
  });
  if (restored.registryLog.length === 0) restored.registryLog.adopt(1, last?.header.reg ?? reg);
  await deps.registry.waitFor(restored.registryLog.current, 10_000);
  const skipped = await store.skippedItems();
  const input = new LaneInput(deps.nats, family, lease.lane, restored.inSeq + 1, skipped, deps.log, (count) => {
    deps.progress.lostInputs += count;
  });
  return new LaneSession(deps, restored, input, whole, partial ?? 0);
}

/** The newest snapshot's header, after checking that the log is still the one it was made from. @throws LogReplaced */
async function usableHead<Input, State, Config>(deps: SessionDeps<Input, State, Config>): Promise<Head | undefined> {
  const stream = inputStreamName(deps.family.input, deps.lease.lane);
  const [head, last, input] = await Promise.all([deps.store.head(), deps.writer.lastFrame(), streamState(deps.nats, stream)]);
  const folded = last?.header.in ?? head?.inSeq ?? 0;
  if (input.lastSeq >= folded) return head;
  const error = new LogReplaced(`${stream} ends at ${input.lastSeq}, but ${folded} was folded already`);
  // With frames of the old log still there nobody can tell which inputs were answered.
  if (last !== undefined) throw error;
  deps.log.error({ err: error }, "lanes.log_replaced");
  await deps.store.reset();
  return undefined;
}

function takeOverFrame<Input, State, Config>(
  deps: SessionDeps<Input, State, Config>,
  last: LastFrame | undefined,
  headIn: number,
  reg: number,
): BuiltFrame {
  const header = last?.header;
  const context: FrameContext = {
    family: deps.family.output,
    gen: deps.family.gen,
    epoch: deps.lease.epoch,
    reg: header?.reg ?? reg,
    regs: header?.regs ?? [[headIn + 1, reg]],
  };
  return positionFrame(context, header?.in ?? headIn, header?.at);
}

export class LaneSession<Input, State, Config> {
  readonly state: LaneState<State>;
  readonly input: LaneInput<Input>;
  readonly snapshotter: Snapshotter<State>;
  readonly registryLog: RegistryLog;
  readonly #deps: SessionDeps<Input, State, Config>;
  readonly #engine: FoldEngine<Input, State, Config>;
  readonly #restoredAt: number;
  readonly #replayTo: number;
  /** Items of the next message that are in frames already. */
  #resumeAt: number;
  #lastFrameAt: number;
  #lastAdoptAt = Number.NEGATIVE_INFINITY;
  /** Ids that the registry does not hold at `#missingAt`. */
  readonly #missing = new Set<string>();
  #missingAt = -1;

  constructor(
    deps: SessionDeps<Input, State, Config>,
    restored: Restored & { state: LaneState<State> },
    input: LaneInput<Input>,
    replayTo: number,
    resumeAt: number,
  ) {
    this.#deps = deps;
    this.state = restored.state;
    this.input = input;
    this.registryLog = restored.registryLog;
    this.#engine = new FoldEngine(deps.family, this.state, deps.configAt);
    this.#restoredAt = restored.inSeq;
    this.#replayTo = replayTo;
    this.#resumeAt = resumeAt;
    this.#lastFrameAt = deps.clock.monotonicMs();
    this.snapshotter = new Snapshotter(
      {
        state: this.state,
        store: deps.store,
        registryLog: this.registryLog,
        lane: deps.lease.lane,
        epoch: deps.lease.epoch,
        schema: deps.family.schema,
        options: deps.options,
        clock: deps.clock,
        log: deps.log,
      },
      restored,
    );
  }

  async close(): Promise<void> {
    await this.input.close();
  }

  /** Folds without emitting up to the position of the last frame. */
  async replay(): Promise<void> {
    const { progress, clock, log, lease } = this.#deps;
    const begin = clock.monotonicMs();
    progress.folded = this.#restoredAt;
    while (progress.folded < this.#replayTo) {
      if (this.#deps.stopping() !== "no" || !lease.isHeld()) throw this.#stopError();
      const { items, reg } = this.input.takeForReplay(this.#replayTo, REPLAY_CHUNK_EVENTS, this.registryLog);
      if (items.length === 0) {
        // A gap in front of what comes next, or the whole rest is gone.
        if ((this.input.nextSeq ?? 0) > this.#replayTo || (this.input.gapBehind(progress.folded) ?? 0) >= this.#replayTo) break;
        await this.input.wait(1_000);
        continue;
      }
      await this.#loadColdKeys(items);
      this.#engine.fold(items, reg, false);
      progress.events += items.length;
      progress.folded = items.at(-1)?.seq ?? progress.folded;
      await yieldToTimers();
      // In a replay every whole message up to the last frame is confirmed already.
      await this.#roomInMemory(progress.folded);
    }
    progress.startAt(this.#replayTo);
    const durationMs = Math.round(clock.monotonicMs() - begin);
    log.info({ epoch: lease.epoch, from: this.#restoredAt, to: this.#replayTo, at: this.#resumeAt || undefined, durationMs }, "lanes.live");
  }

  /** Folds and publishes. Never returns: throws Stopping after a graceful end, OwnershipLost, FoldFailure, or what it stands on throws. */
  async live(): Promise<never> {
    const { progress, lease, options } = this.#deps;
    while (this.#deps.stopping() !== "now") {
      if (!lease.isHeld() || this.snapshotter.isFenced) throw new OwnershipLost("the lease is gone");
      if (this.#deps.stopping() === "graceful" && this.#resumeAt === 0) {
        await this.#finish();
        throw new Stopping();
      }
      // A message that was begun by another owner is finished with that owner's config, alone; unless it is gone.
      if (this.#resumeAt > 0 && (this.input.nextSeq ?? this.input.gapBehind(progress.folded) ?? 0) > progress.folded + 1)
        this.#resumeAt = 0;
      const isAlone = this.#resumeAt > 0 || progress.folded < this.#deps.cautiousUntil;
      const items = this.input.take(isAlone ? 1 : options.maxChunkEvents);
      if (items.length > 0) await this.#foldChunk(items);
      else await this.#idle();
      await this.#afterChunk();
    }
    throw this.#stopError();
  }

  async #foldChunk(items: Item<Input>[]): Promise<void> {
    const { progress, outlets, writer } = this.#deps;
    const first = items[0];
    const last = items.at(-1);
    if (!first || !last) return;
    if (this.#resumeAt === 0) {
      this.#adoptConfig(first.seq);
      await this.#adoptMissingConfig(first.seq, items);
    }
    const reg = this.registryLog.at(first.seq);
    await this.#loadColdKeys(items);
    let fresh = items;
    if (this.#resumeAt > 0) {
      const done = items.filter((item) => item.index < this.#resumeAt);
      fresh = items.filter((item) => item.index >= this.#resumeAt);
      this.#engine.fold(done, reg, false);
      this.#resumeAt = 0;
    }
    const { outputs, effects } = this.#engine.fold(fresh, reg, true);
    progress.events += items.length;
    progress.folded = last.seq;
    await outlets.badItems(fresh);
    await outlets.sideEffects(effects);
    if (outputs.some((item) => item.outputs.length > 0)) {
      for (const frame of this.#framesOf(this.#frameContext(reg), outputs)) await writer.publish(frame);
      this.#confirm(last.seq);
    } else await yieldToTimers();
  }

  #framesOf(context: FrameContext, outputs: readonly ItemOutputs[]): BuiltFrame[] {
    try {
      return buildFrames(context, outputs, this.#deps.options.maxFrameBytes, this.#deps.options.hardFrameBytes);
    } catch (error) {
      // What no message can hold is poison like any other.
      throw error instanceof OutputTooLarge ? new FoldFailure(error.at, error) : error;
    }
  }

  /** Nothing to fold: waits for input, or until a position frame, a snapshot or an idle frame is due. */
  async #idle(): Promise<void> {
    const { options, clock, progress } = this.#deps;
    const gapTo = this.input.gapBehind(progress.folded);
    if (gapTo !== undefined) {
      progress.folded = gapTo;
      return;
    }
    if (this.#isFrameDue()) return;
    const sinceFrame = clock.monotonicMs() - this.#lastFrameAt;
    const frameInMs = (progress.isBehind ? options.emptyFrameMs : options.idleFrameMs) - sinceFrame;
    const snapshotInMs = progress.folded > this.snapshotter.inSeq ? Math.max(20, this.snapshotter.dueInMs) : frameInMs;
    await this.input.wait(Math.max(1, Math.min(frameInMs, snapshotInMs, 1_000)));
  }

  /** Is it time for a frame that only tells the position? */
  #isFrameDue(): boolean {
    const { options, clock, progress } = this.#deps;
    const sinceFrame = clock.monotonicMs() - this.#lastFrameAt;
    return (progress.isBehind && (progress.isAwaited || sinceFrame >= options.emptyFrameMs)) || sinceFrame >= options.idleFrameMs;
  }

  async #afterChunk(): Promise<void> {
    const { progress, outlets } = this.#deps;
    if (this.#resumeAt > 0) return;
    const isSnapshotDue = this.snapshotter.isDue(progress.events, progress.folded);
    if (this.#isFrameDue() || (isSnapshotDue && progress.isBehind)) await this.#publishPosition();
    if (isSnapshotDue && !progress.isBehind) this.snapshotter.begin(progress.confirmed, progress.events);
    if (!progress.isBehind) await this.#roomInMemory(progress.confirmed);
    outlets.purgeInput(this.snapshotter.prevInSeq);
    // While many lanes are busy their chunks fill, so that a frame and its fsync serve more events.
    if (this.input.queued > 0 && !progress.isAwaited && this.#deps.stopping() === "no") await this.#deps.pace.turn();
  }

  async #publishPosition(): Promise<void> {
    const { progress, writer } = this.#deps;
    await writer.publish(positionFrame(this.#frameContext(this.registryLog.at(progress.folded)), progress.folded, undefined));
    this.#confirm(progress.folded);
  }

  #confirm(seq: number): void {
    this.#lastFrameAt = this.#deps.clock.monotonicMs();
    this.#deps.progress.confirm(seq);
  }

  /** Graceful end: the position is told, and a snapshot saves the successor a replay. */
  async #finish(): Promise<void> {
    const { progress } = this.#deps;
    if (progress.isBehind) await this.#publishPosition();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_SNAPSHOT_WITHIN_MS);
    });
    await Promise.race([late, this.#lastSnapshot()]);
    clearTimeout(timer);
  }

  async #lastSnapshot(): Promise<void> {
    const { progress } = this.#deps;
    await this.snapshotter.idle();
    if (progress.confirmed <= this.snapshotter.inSeq) return;
    this.snapshotter.begin(progress.confirmed, progress.events);
    await this.snapshotter.idle();
  }

  /** Starts snapshots that memory asks for; at twice the budget nothing is folded until one lets keys go. */
  async #roomInMemory(inSeq: number): Promise<void> {
    const { progress, lease } = this.#deps;
    if (this.state.isOverBudget && this.snapshotter.isDue(progress.events, inSeq)) this.snapshotter.begin(inSeq, progress.events);
    while (this.state.isOverHardLimit && this.#deps.stopping() === "no" && lease.isHeld()) {
      if (this.snapshotter.isDue(progress.events, inSeq)) this.snapshotter.begin(inSeq, progress.events);
      await this.snapshotter.idle();
      if (this.state.isOverHardLimit) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Brings the cold keys of these items into memory; those that do not exist may then be created. */
  async #loadColdKeys(items: readonly Item<Input>[]): Promise<void> {
    this.state.forgetAbsent();
    const keys = this.#engine.coldKeys(items);
    if (keys.length === 0) return;
    await this.#deps.outlets.untilDone(() => this.load(keys));
    for (const key of keys) if (!this.state.isHot(key)) this.state.markAbsent(key);
  }

  /** Loads cold keys, unchanged. A broken row cuts the snapshots off below it: the lane starts again from before it. */
  async load(keys: readonly string[]): Promise<void> {
    const { store, log, lease } = this.#deps;
    try {
      for (const row of await store.loadCold(keys)) this.state.load(row.key, row.json, row.schema);
    } catch (error) {
      if (error instanceof CorruptSnapshot) {
        log.error({ err: error }, "lanes.cold_key_corrupt");
        const before = this.snapshotter.prevInSeq;
        await store.truncate(error.inSeq > before ? before : 0, lease.epoch);
      }
      throw error;
    }
  }

  /** Takes a newer registry position into use, at a chunk boundary, at most once a second. */
  #adoptConfig(firstSeq: number): void {
    const reg = this.#deps.registry.position();
    if (reg <= this.registryLog.current) return;
    const now = this.#deps.clock.monotonicMs();
    const every = this.registryLog.length >= MANY_CHANGES ? 60_000 : this.#deps.options.adoptConfigEveryMs;
    if (now - this.#lastAdoptAt < every) return;
    this.#lastAdoptAt = now;
    this.registryLog.adopt(firstSeq, reg);
  }

  /** An input may speak of a record that was written just before it: then the registry is read up to now before anything is folded. */
  async #adoptMissingConfig(firstSeq: number, items: readonly Item<Input>[]): Promise<void> {
    const { registry, outlets, nats } = this.#deps;
    const current = this.registryLog.current;
    if (this.#missingAt !== current) {
      this.#missingAt = current;
      this.#missing.clear();
    }
    const unknown = this.#engine.missingConfig(items, current).filter((id) => !this.#missing.has(id));
    if (unknown.length === 0) return;
    await outlets.untilDone(async () => registry.waitFor((await streamState(nats, REGISTRY_STREAM)).lastSeq));
    for (const id of unknown) this.#missing.add(id);
    const position = registry.position();
    if (position <= current) return;
    this.#missingAt = position;
    this.registryLog.adopt(firstSeq, position);
  }

  #frameContext(reg: number): FrameContext {
    const { family, lease } = this.#deps;
    return { family: family.output, gen: family.gen, epoch: lease.epoch, reg, regs: this.registryLog.since(this.snapshotter.prevInSeq) };
  }

  #stopError(): Error {
    return this.#deps.lease.isHeld() ? new Stopping() : new OwnershipLost("the lease is gone");
  }
}

/** Chunks that wait for nothing would keep the process from reading sockets and renewing leases. */
function yieldToTimers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

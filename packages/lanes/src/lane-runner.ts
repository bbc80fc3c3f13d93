/**
 * One owned lane from lease to release: runs sessions (lane-session.ts) one after the other until told to stop. Any failure that leaves
 * the state in doubt drops it and starts again from the snapshot. Answers questions about the lane. Tests: lanes.int.test.ts.
 */
import type { MessagePace, Nats, Publisher, RegistryView } from "@headwater/messaging";
import type { Clock, Logger } from "@headwater/runtime";
import type { Pool } from "pg";
import { canonicalJson, hashState } from "./canonical.ts";
import { FoldFailure, Stopping } from "./errors.ts";
import { FrameWriter } from "./frame-writer.ts";
import { LaneOutlets } from "./lane-outlets.ts";
import { LaneProgress } from "./lane-progress.ts";
import { type LaneSession, openSession } from "./lane-session.ts";
import type { LaneLease } from "./leases.ts";
import { SnapshotStore } from "./snapshot-store.ts";
import { type LaneFamily, type LaneOptions, type LanePhase, type LaneStatus, LogReplaced, NewerSnapshot, OwnershipLost } from "./types.ts";

export interface RunnerDeps<Config> {
  nats: Nats;
  publisher: Publisher;
  /** Turns of frames, shared by all lanes of the worker. */
  pace: MessagePace;
  pool: Pool;
  registry: RegistryView;
  configAt: (reg: number) => Config;
  clock: Clock;
  log: Logger;
  options: LaneOptions;
}

export type RunOutcome = { outcome: "stopped" } | { outcome: "lost" } | { outcome: "fatal"; error: Error };

const GRACEFUL_WITHIN_MS = 10_000;
const MAX_BACKOFF_MS = 5_000;
/** A session that worked for so long does not count as a failed attempt. */
const HEALTHY_MS = 30_000;

export class LaneRunner<Input, State, Config> {
  readonly lane: number;
  readonly epoch: number;
  readonly #family: LaneFamily<Input, State, Config>;
  readonly #lease: LaneLease;
  readonly #deps: RunnerDeps<Config>;
  readonly #log: Logger;
  readonly #store: SnapshotStore;
  readonly #progress = new LaneProgress();
  readonly #outlets: LaneOutlets;
  readonly #stopped = Promise.withResolvers<void>();
  #phase: LanePhase = "restoring";
  #writer: FrameWriter | undefined;
  #session: LaneSession<Input, State, Config> | undefined;
  #stop: "no" | "graceful" | "now" = "no";
  #deadline: NodeJS.Timeout | undefined;
  #cautiousUntil = 0;
  #framesBefore = 0;

  constructor(family: LaneFamily<Input, State, Config>, lease: LaneLease, deps: RunnerDeps<Config>) {
    this.lane = lease.lane;
    this.epoch = lease.epoch;
    this.#family = family;
    this.#lease = lease;
    this.#deps = deps;
    this.#log = deps.log.child({ lane: lease.lane, family: family.family });
    this.#store = new SnapshotStore(deps.pool, { family: family.family, gen: family.gen, lane: lease.lane }, family.schema);
    const mayGoOn = (): boolean => this.#stop === "no" && lease.isHeld();
    this.#outlets = new LaneOutlets(family, lease.lane, deps, this.#store, this.#progress, this.#log, mayGoOn);
  }

  get isLive(): boolean {
    return this.#phase === "live";
  }

  /** Works until stopped or the lane is lost; `fatal` when going on would be guessing. Never rejects. */
  async run(): Promise<RunOutcome> {
    let result: RunOutcome = { outcome: "stopped" };
    for (let failures = 0; this.#stop === "no"; failures++) {
      const begin = this.#deps.clock.monotonicMs();
      const error = await this.#runSession();
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
      if (error instanceof FoldFailure) {
        this.#cautiousUntil = Math.max(this.#cautiousUntil, error.at.seq);
        await this.#outlets.poison(error);
      } else this.#log.error({ err: error }, "lanes.restarted");
      if (this.#deps.clock.monotonicMs() - begin > HEALTHY_MS) failures = 0;
      await this.#pause(error instanceof FoldFailure ? 10 : Math.min(MAX_BACKOFF_MS, 50 * 2 ** failures));
    }
    clearTimeout(this.#deadline);
    this.#phase = "stopping";
    this.#progress.end();
    return result;
  }

  /** `graceful`: finish the frame, write a snapshot. `now`: publish nothing more. */
  stop(how: "graceful" | "now"): void {
    if (this.#stop === "now" || this.#stop === how) return;
    this.#stop = how;
    if (how === "now") this.#writer?.stop();
    // Without a broker or a database a graceful end would never come.
    else this.#deadline = setTimeout(() => this.stop("now"), GRACEFUL_WITHIN_MS);
    this.#stopped.resolve();
    this.#session?.input.wake();
  }

  status(): LaneStatus {
    const session = this.#session;
    const progress = this.#progress;
    return {
      lane: this.lane,
      epoch: this.epoch,
      state: this.#phase,
      in: progress.confirmed,
      lag: session?.input.lag ?? 0,
      reg: session?.registryLog.current ?? 0,
      bytes: session?.state.bytes ?? 0,
      keys: session?.state.keys ?? 0,
      events: progress.events,
      frames: this.#framesBefore + (this.#writer?.frames ?? 0),
      snapshotIn: session?.snapshotter.inSeq ?? 0,
      snapshotAgeMs: session && progress.folded > session.snapshotter.inSeq ? Math.round(session.snapshotter.ageMs) : 0,
      deadLetters: progress.deadLetters,
      lostInputs: progress.lostInputs,
    };
  }

  /** Input position that is safe to forget: nothing ever replays from before it. */
  safePoint(): number {
    return this.#session?.snapshotter.prevInSeq ?? 0;
  }

  /** Resolves when input message `seq` has been folded and its outputs stored. Rejects after `withinMs`, or with OwnershipLost. */
  settledAt(seq: number, withinMs: number): Promise<void> {
    const reached = this.#progress.reached(seq, withinMs);
    this.#session?.input.wake();
    return reached;
  }

  /** Looks at the state of a key between two chunks, loading it when it is cold. `read` must not change it. */
  async read<T>(key: string, read: (state: State | undefined) => T): Promise<T> {
    const session = this.#liveSession();
    const cold = session.state.coldCandidates([key]);
    if (cold.length > 0) await session.load(cold);
    if (this.#liveSession() !== session) throw new OwnershipLost("the lane is not live here");
    return read(session.state.isHot(key) ? session.state.peek(key) : undefined);
  }

  /** Hash of the whole state at the confirmed position, hot and cold. @throws when the lane is busy */
  async stateHash(): Promise<{ in: number; hash: string; keys: number }> {
    const { state } = this.#liveSession();
    const progress = this.#progress;
    const at = progress.confirmed;
    const isQuiet = (): boolean => progress.confirmed === at && progress.folded === at;
    if (!isQuiet()) throw new Error("the lane is busy");
    // Taken at one instant: the hot keys, before anything is awaited.
    const entries = new Map<string, string>();
    for (const [key, json] of state.entries()) entries.set(key, canonicalJson(json));
    for (const row of await this.#store.allCold()) {
      if (entries.has(row.key) || state.isDeleted(row.key)) continue;
      entries.set(row.key, canonicalJson(this.#family.serialize(this.#family.deserialize(row.json, row.schema))));
    }
    if (!isQuiet()) throw new Error("the lane is busy");
    return { in: at, hash: hashState(entries), keys: entries.size };
  }

  /** @returns what ended it. */
  async #runSession(): Promise<unknown> {
    this.#phase = "restoring";
    this.#framesBefore += this.#writer?.frames ?? 0;
    const writer = new FrameWriter(this.#deps.nats, this.#deps.publisher, this.#family, this.#lease, this.#deps.options, this.#log);
    this.#writer = writer;
    let session: LaneSession<Input, State, Config> | undefined;
    try {
      session = await openSession({
        ...this.#deps,
        family: this.#family,
        lease: this.#lease,
        writer,
        store: this.#store,
        progress: this.#progress,
        outlets: this.#outlets,
        log: this.#log,
        stopping: () => this.#stop,
        cautiousUntil: this.#cautiousUntil,
      });
      this.#session = session;
      await session.replay();
      this.#phase = "live";
      return await session.live();
    } catch (error) {
      return error;
    } finally {
      if (this.#phase === "live") this.#phase = this.#stop === "no" ? "restoring" : "stopping";
      await session?.close();
      // A round that still runs must not outlive the lease by much; it is fenced by its epoch anyway.
      await session?.snapshotter.idle();
    }
  }

  #liveSession(): LaneSession<Input, State, Config> {
    if (this.#phase !== "live" || !this.#session) throw new OwnershipLost("the lane is not live here");
    return this.#session;
  }

  async #pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const passed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([passed, this.#stopped.promise]);
    clearTimeout(timer);
  }
}

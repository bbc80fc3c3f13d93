/**
 * Snapshots of one lane: when the next round is due, the round itself in slices beside the folding, and what is durable.
 * While PostgreSQL is down rounds fail, folding goes on and the age of the newest snapshot rises. Tests: lanes.int.test.ts.
 */
import type { Clock, Logger } from "@headwater/runtime";
import type { LaneState, Round } from "./lane-state.ts";
import type { RegistryLog } from "./registry-log.ts";
import { encodeBody, type RoundToStore, type SnapshotStore } from "./snapshot-store.ts";
import { type LaneOptions, OwnershipLost } from "./types.ts";

const SLICE_MS = 2;
const MAX_RETRY_MS = 10_000;
/** A round that cost so much time is not repeated before this many times its cost has passed. */
const COST_FACTOR = 10;

export interface SnapshotterDeps<State> {
  state: LaneState<State>;
  store: SnapshotStore;
  registryLog: RegistryLog;
  lane: number;
  epoch: number;
  schema: number;
  options: LaneOptions;
  clock: Clock;
  log: Logger;
}

export class Snapshotter<State> {
  readonly #deps: SnapshotterDeps<State>;
  #running: Promise<boolean> | undefined;
  #lastAt: number;
  #notBefore = 0;
  #failures = 0;
  #eventsAtLast = 0;
  #isFenced = false;
  /** A failed round may have been committed without our knowing. */
  #attempted: number;
  /** Input position of the newest and of the previous durable snapshot. */
  inSeq: number;
  prevInSeq: number;

  constructor(deps: SnapshotterDeps<State>, durable: { inSeq: number; prevInSeq: number; writtenAtMs: number }) {
    this.#deps = deps;
    this.inSeq = durable.inSeq;
    this.prevInSeq = durable.prevInSeq;
    this.#attempted = durable.inSeq;
    const ageMs = durable.writtenAtMs === 0 ? 0 : Math.max(0, deps.clock.now() - durable.writtenAtMs);
    // Lanes that start together take turns, so that they do not all ask for a database connection at once.
    const turn = (deps.lane / deps.options.laneCount) * deps.options.snapshotEveryMs;
    this.#lastAt = deps.clock.monotonicMs() - Math.max(ageMs, turn);
  }

  get ageMs(): number {
    return this.#deps.clock.monotonicMs() - this.#lastAt;
  }
  get isRunning(): boolean {
    return this.#running !== undefined;
  }
  /** Somebody else wrote, or the database lost what we wrote: this state must be given up and restored. */
  get isFenced(): boolean {
    return this.#isFenced;
  }
  /** Time until {@link isDue} can become true by time alone, ms. */
  get dueInMs(): number {
    const now = this.#deps.clock.monotonicMs();
    return Math.max(0, this.#notBefore - now, this.#lastAt + this.#deps.options.snapshotEveryMs - now);
  }

  /** @param events folded since the start; @param inSeq confirmed position */
  isDue(events: number, inSeq: number): boolean {
    if (this.#running || this.#isFenced || this.#deps.clock.monotonicMs() < this.#notBefore) return false;
    if (this.#deps.state.isOverBudget) return true;
    if (inSeq <= this.inSeq) return false;
    return events - this.#eventsAtLast >= this.#deps.options.snapshotEveryEvents || this.ageMs >= this.#deps.options.snapshotEveryMs;
  }

  /** Starts a round. The state must reflect exactly the whole messages up to `inSeq`, all of them in stored frames. */
  begin(inSeq: number, events: number): void {
    if (this.#running || this.#isFenced) return;
    this.#running = this.#run(this.#deps.state.beginRound(), inSeq, events).finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when no round is running; true when the last one is durable. */
  async idle(): Promise<boolean> {
    return (await this.#running) ?? true;
  }

  async #run(round: Round, inSeq: number, events: number): Promise<boolean> {
    const { state, store, registryLog, clock, options, lane } = this.#deps;
    const begin = clock.monotonicMs();
    const stored: RoundToStore = {
      inSeq,
      follows: [this.inSeq, this.#attempted],
      epoch: this.#deps.epoch,
      schema: this.#deps.schema,
      pages: [],
      cold: [],
      tombstones: [...round.tombstones],
      registryChanges: registryLog.since(this.inSeq).filter(([seq]) => seq <= inSeq + 1),
    };
    let busyMs = 0;
    try {
      for (let more = true; more; ) {
        const sliceAt = clock.monotonicMs();
        more = state.stepRound(round, SLICE_MS);
        busyMs += clock.monotonicMs() - sliceAt;
        // The fold adds images of pages that it is about to change.
        for (const image of round.images.splice(0)) {
          stored.pages.push({ page: image.page, ...encodeBody(image.lines) });
          for (const { key, line } of image.evicted) stored.cold.push({ key, ...encodeBody([line]) });
        }
        more ||= round.images.length > 0;
        if (more) await new Promise((resolve) => setImmediate(resolve));
      }
      this.#attempted = inSeq;
      const { prevInSeq } = await store.store(stored, () => options.onCrashPoint?.("mid_snapshot", { lane }));
      state.commitRound(round);
      this.prevInSeq = prevInSeq;
      this.inSeq = inSeq;
      registryLog.trim(prevInSeq);
      this.#lastAt = begin;
      this.#eventsAtLast = events;
      this.#failures = 0;
      this.#notBefore = clock.monotonicMs() + busyMs * COST_FACTOR;
      return true;
    } catch (error) {
      state.abortRound(round);
      if (error instanceof OwnershipLost) this.#isFenced = true;
      this.#failures++;
      this.#notBefore = clock.monotonicMs() + Math.min(MAX_RETRY_MS, 250 * 2 ** this.#failures);
      this.#deps.log.warn({ err: error, lane, ageMs: Math.round(this.ageMs) }, "lanes.snapshot_failed");
      return false;
    }
  }
}

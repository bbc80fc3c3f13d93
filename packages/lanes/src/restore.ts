/**
 * Brings a lane's state from the newest usable snapshot: newest, else the one before, else nothing (full replay). A broken one
 * is logged loudly and cut off. Tests: lanes.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type { LaneState } from "./lane-state.ts";
import { RegistryLog, type RegChange } from "./registry-log.ts";
import { CorruptSnapshot, type Head, type SnapshotStore } from "./snapshot-store.ts";

export interface Restored {
  /** State reflects exactly the whole input messages up to here. */
  inSeq: number;
  prevInSeq: number;
  writtenAtMs: number;
  registryLog: RegistryLog;
}

export interface RestoreOptions<State> {
  store: SnapshotStore;
  /** Makes an empty state; called again when a snapshot turns out broken half-way. */
  emptyState(): LaneState<State>;
  epoch: number;
  /** Only snapshots up to here may be used: the position of the last frame. */
  notAbove: number;
  /** Changes known from the last frame, newer than what is in PostgreSQL. */
  knownChanges: readonly RegChange[];
  log: Logger;
}

/** @throws NewerSnapshot; errors of the database pass through (the caller tries again). */
export async function restoreState<State>(options: RestoreOptions<State>): Promise<Restored & { state: LaneState<State> }> {
  const { store, log } = options;
  const head = await store.head();
  const changes = await store.registryChanges();
  const candidates = head === undefined ? [0] : [...new Set([head.inSeq, head.prevInSeq, 0])];
  for (const inSeq of candidates) {
    const state = options.emptyState();
    try {
      if (inSeq > options.notAbove) {
        throw new CorruptSnapshot(`snapshot at ${inSeq} is ahead of the last frame at ${options.notAbove}`, inSeq);
      }
      if (inSeq > 0) {
        for (const page of await store.pages(inSeq)) for (const [key, json] of page.keys) state.load(key, json, page.schema);
      }
      if (head !== undefined && inSeq !== head.inSeq) await store.truncate(inSeq, options.epoch);
      for (const key of await store.coldKeys()) state.addCold(key);
      return {
        state,
        inSeq,
        prevInSeq: head !== undefined && inSeq === head.inSeq ? head.prevInSeq : 0,
        writtenAtMs: writtenAt(head, inSeq),
        registryLog: new RegistryLog([...changes, ...options.knownChanges]),
      };
    } catch (error) {
      if (!(error instanceof CorruptSnapshot) || inSeq === 0) throw error;
      log.error({ err: error, inSeq }, "lanes.snapshot_corrupt");
    }
  }
  throw new Error("unreachable: the empty snapshot is always usable");
}

function writtenAt(head: Head | undefined, inSeq: number): number {
  return head !== undefined && inSeq === head.inSeq ? head.writtenAtMs : 0;
}

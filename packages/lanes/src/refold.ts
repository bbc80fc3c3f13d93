/**
 * Folds a lane's whole log from zero without emitting, with the config history that was recorded while it ran: the independent
 * answer to "is the state what the log says" (invariant I4). Reads only. Tests: lanes.int.test.ts.
 */
import { lastMessage, type Nats, openReader, type RegistryView, streamState } from "@headwater/messaging";
import { decodeFrameHeader, inputStreamName, subjects } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { Pool } from "pg";
import { canonicalJson, hashState } from "./canonical.ts";
import { FoldEngine, type Item, itemsOf } from "./fold-engine.ts";
import { LaneState } from "./lane-state.ts";
import { RegistryLog } from "./registry-log.ts";
import { SnapshotStore } from "./snapshot-store.ts";
import type { LaneFamily } from "./types.ts";

export interface RefoldResult {
  lane: number;
  /** Whole messages up to here are in the state. */
  in: number;
  hash: string;
  keys: number;
  events: number;
  /** False when the log no longer starts at 1: then the hash proves nothing. */
  isComplete: boolean;
  durationMs: number;
}

export interface RefoldDeps<Config> {
  nats: Nats;
  pool: Pool;
  registry: RegistryView;
  configAt: (reg: number) => Config;
  log: Logger;
  /** Stop at this input position; default: that of the lane's last frame. */
  upTo?: number;
}

const CHUNK_EVENTS = 4_096;

export async function refold<Input, State, Config>(
  family: LaneFamily<Input, State, Config>,
  lane: number,
  deps: RefoldDeps<Config>,
): Promise<RefoldResult> {
  const begin = performance.now();
  const frame = await lastMessage(deps.nats, family.outputStream, subjects.lane(family.output, lane));
  const header = frame ? decodeFrameHeader(frame.data) : undefined;
  const position = header?.ok ? (header.header.at === undefined ? header.header.in : header.header.in - 1) : 0;
  const upTo = deps.upTo ?? position;
  const stream = inputStreamName(family.input, lane);
  const { firstSeq } = await streamState(deps.nats, stream);

  const store = new SnapshotStore(deps.pool, { family: family.family, gen: family.gen, lane }, family.schema);
  const registryLog = new RegistryLog([...(await store.registryChanges()), ...(header?.ok ? header.header.regs : [])]);
  await deps.registry.waitFor(registryLog.current, 10_000);
  const skipped = new Set((await store.skippedItems()).map((item) => `${item.seq}/${item.index}`));
  const state = new LaneState(family, Number.POSITIVE_INFINITY);
  const engine = new FoldEngine(family, state, deps.configAt);

  let events = 0;
  let chunk: Item<Input>[] = [];
  let chunkReg = 0;
  const foldChunk = (): void => {
    engine.fold(chunk, chunkReg, false);
    events += chunk.length;
    chunk = [];
  };
  if (upTo >= firstSeq && upTo > 0) {
    const done = Promise.withResolvers<void>();
    const reader = openReader(deps.nats, {
      stream,
      from: { seq: Math.max(1, firstSeq) },
      log: deps.log,
      onError: (error) => done.reject(error instanceof Error ? error : new Error(String(error))),
      onMessage(message) {
        if (message.seq > upTo) return done.resolve();
        const reg = registryLog.at(message.seq);
        if (chunk.length >= CHUNK_EVENTS || (chunk.length > 0 && reg !== chunkReg)) foldChunk();
        chunkReg = reg;
        for (const item of itemsOf(family, message, (seq, index) => skipped.has(`${seq}/${index}`))) chunk.push(item);
        if (message.seq === upTo) done.resolve();
      },
    });
    try {
      await done.promise;
    } finally {
      await reader.stop();
    }
    foldChunk();
  }
  const entries: [string, string][] = [];
  for (const [key, json] of state.entries()) entries.push([key, canonicalJson(json)]);
  return {
    lane,
    in: upTo,
    hash: hashState(entries),
    keys: entries.length,
    events,
    isComplete: firstSeq <= 1,
    durationMs: Math.round(performance.now() - begin),
  };
}

/** Contexts of intelligence, put together: lanes, leases, lane requests. Tests: lane-contexts.int.test.ts. */
import { createLeases, DEFAULT_OPTIONS } from "@headwater/lanes";
import { type BucketOptions, type Nats, openLeaseBucket, serveLaneRequests } from "@headwater/messaging";
import { LANE_COUNT } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { ContextLimits } from "../domain/context-store.ts";
import type { AnalysisWriter, Feeds, Ownership } from "../ports.ts";
import { type Contexts, createContexts, laneHandlers } from "./lane-requests.ts";
import { LaneContexts } from "./lane-contexts.ts";

export interface StartContextsDeps<W extends AnalysisWriter> {
  nats: Nats;
  feeds: Feeds;
  instanceId: string;
  clock: Clock;
  log: Logger;
  leaseBucket: BucketOptions;
  limits: ContextLimits;
  laneCount?: number;
  /** Writes frames for whoever owns the lane; it gets our ownership. */
  openWriter(ownership: Ownership, laneCount: number): W;
  onRebuilt(report: { lanes: number; frames: number; ms: number }): void;
  /** A newer process runs under our id: going on would be wrong. */
  onFatal(error: Error): void;
}

export interface RunningContexts<W extends AnalysisWriter> {
  /** Of our own lanes. */
  own: LaneContexts;
  /** Of any lane. */
  contexts: Contexts;
  writer: W;
  stop(): Promise<void>;
}

/** Resolves when lanes can be taken; they are rebuilt after that. */
export async function startContexts<W extends AnalysisWriter>(deps: StartContextsDeps<W>): Promise<RunningContexts<W>> {
  const { nats, clock, log, laneCount = LANE_COUNT } = deps;
  const own: LaneContexts = new LaneContexts({
    nats,
    feeds: deps.feeds,
    clock,
    log,
    limits: deps.limits,
    laneCount,
    serve: (lane) => {
      const serving = serveLaneRequests(nats, "analyses", lane, handlers, log);
      return () => serving.stop();
    },
    onRebuilt: deps.onRebuilt,
  });
  const parts = { contexts: own, writer: deps.openWriter(own, laneCount), now: () => clock.now() };
  const handlers = laneHandlers(parts);
  const bucket = await openLeaseBucket(nats, { ...deps.leaseBucket, log });
  await own.start();
  const leases = createLeases({
    bucket,
    family: "analyses",
    laneCount,
    instanceId: deps.instanceId,
    ttlMs: DEFAULT_OPTIONS.leaseTtlMs,
    renewMs: DEFAULT_OPTIONS.renewMs,
    selfFenceMs: DEFAULT_OPTIONS.selfFenceMs,
    clock,
    log,
    onAcquired: (lease) => own.acquired(lease),
    onReleaseWanted: (lane) => own.releaseWanted(lane),
    onLost: (lane) => own.lost(lane),
    onReplaced: () => deps.onFatal(new Error(`a newer process runs as ${deps.instanceId}`)),
  });
  own.leases = leases;
  await leases.start();
  return {
    own,
    contexts: createContexts(nats, { ...parts, laneCount }),
    writer: parts.writer,
    async stop() {
      await own.stop();
      bucket.close();
    },
  };
}

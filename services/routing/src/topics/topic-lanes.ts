/**
 * Topic lanes of this instance: the fold of FEEDS_<lane> into topics.<lane>, and answers about feeds in lanes owned here
 * (`rpc.feeds.<lane>.summary|unrouted|recent`). Schema `lanes` must be migrated. Tests: topic-lanes.int.test.ts.
 */
import { type LaneOptions, type LanesDeps, type LaneStatus, type LaneWorker, refold, startLanes } from "@headwater/lanes";
import { getMessage, RpcError } from "@headwater/messaging";
import {
  type FeedRecent,
  FeedRecentRequest,
  type FeedSummary,
  FeedSummaryRequest,
  type FeedUnrouted,
  FeedUnroutedRequest,
  inputStreamName,
  MAX_FEED_MESSAGE_BYTES,
} from "@headwater/protocol";
import type { Registry } from "prom-client";
import { type FeedFoldState, newFeedState, recentOf } from "../domain/topic-state.ts";
import { createFeedConfigs, type FeedConfigs } from "./feed-configs.ts";
import { feedFamily } from "./feed-family.ts";
import { readBodies } from "./log-bodies.ts";
import { topicMetrics } from "./topic-metrics.ts";

/** Below the stream's largest message, with room for headers and for the frame's own header line. */
const HARD_FRAME_BYTES = MAX_FEED_MESSAGE_BYTES - 64 * 1024;
const MAX_OUTPUT_BYTES = HARD_FRAME_BYTES - 64 * 1024;
/** FEEDS keep an hour; a snapshot must be able to fail twice. */
const MAX_SNAPSHOT_AGE_MS = 20 * 60_000;
/** TOPICS may turn over in less than a minute when feeds are busy: the last frame of a quiet lane must stay in it. */
const IDLE_FRAME_MS = 10_000;
/** A changed topic field works at once. */
const ADOPT_CONFIG_MS = 200;

export interface TopicLanesDeps extends Omit<LanesDeps<FeedConfigs>, "configAt" | "options"> {
  metrics: Registry;
  /** MAX_TOPICS_PER_FEED. */
  maxTopicsPerFeed: number;
  options?: Partial<LaneOptions>;
}

export interface TopicLanes {
  lanes(): LaneStatus[];
  /** Feeds that had messages since the last call, with the time of the newest, ms. May repeat some after a restart. */
  takeDirtyFeeds(): Map<string, number>;
  /** Resolves when everything stored in FEEDS now is folded and its outputs stored, by whoever owns the lanes. */
  settled(options?: { withinMs?: number }): Promise<void>;
  stop(): Promise<void>;
}

export async function startTopicLanes(deps: TopicLanesDeps): Promise<TopicLanes> {
  const metrics = topicMetrics(deps.metrics);
  const configs = createFeedConfigs(deps.registry);
  const configAt = (reg: number): FeedConfigs => configs.at(reg);
  let dirty = new Map<string, number>();
  const family = feedFamily({
    maxTopics: deps.maxTopicsPerFeed,
    maxOutputBytes: MAX_OUTPUT_BYTES,
    onCount: metrics.count,
    onMessage: (feedId, ts) => void dirty.set(feedId, ts),
  });
  const worker = await startLanes(family, {
    ...deps,
    configAt,
    options: {
      hardFrameBytes: HARD_FRAME_BYTES,
      maxSnapshotAgeMs: MAX_SNAPSHOT_AGE_MS,
      idleFrameMs: IDLE_FRAME_MS,
      adoptConfigEveryMs: ADOPT_CONFIG_MS,
      ...deps.options,
    },
  });
  metrics.watch(() => worker.lanes());
  answer(worker, deps, configs);
  // Is the state what the log says? Proves something only while the log still begins at its first message.
  worker.handle("verify", async (lane) => {
    const live = await worker.stateHash(lane.lane);
    const folded = await refold(family, lane.lane, { ...deps, configAt, upTo: live.in });
    return { live, folded, isEqual: live.hash === folded.hash };
  });
  return {
    lanes: () => worker.lanes(),
    takeDirtyFeeds() {
      const taken = dirty;
      dirty = new Map();
      return taken;
    },
    settled: (options) => worker.settled(options),
    stop: () => worker.stop(),
  };
}

function answer(worker: LaneWorker<FeedFoldState>, deps: TopicLanesDeps, configs: { at(reg: number): FeedConfigs }): void {
  const { nats, registry, clock } = deps;
  /** The newest record decides: what the state still holds of a deleted feed is nobody's any more. */
  const routingOf = (feedId: string) => {
    const routing = configs.at(registry.position()).of(feedId);
    if (routing === undefined) throw new RpcError("not_found", "feed not found", 404);
    return routing;
  };
  const fetchFrom = (lane: number) => (seq: number) => getMessage(nats, inputStreamName("feeds", lane), seq);

  worker.handle("summary", async (lane, payload): Promise<FeedSummary> => {
    const { feedId } = FeedSummaryRequest.parse(payload);
    routingOf(feedId);
    return lane.read(feedId, (state) => summaryOf(state ?? newFeedState()));
  });
  worker.handle("unrouted", async (lane, payload): Promise<FeedUnrouted> => {
    const { feedId } = FeedUnroutedRequest.parse(payload);
    routingOf(feedId);
    const places = await lane.read(feedId, (state) => (state?.lastUnrouted ?? []).map((message) => ({ ...message })).reverse());
    const bodies = await readBodies(feedId, places, fetchFrom(lane.lane));
    return {
      messages: bodies.map(({ place, json }) => ({
        ts: place.ts,
        reason: place.reason,
        json,
        ...(place.element === undefined ? {} : { element: place.element }),
      })),
    };
  });
  worker.handle("recent", async (lane, payload): Promise<FeedRecent> => {
    const { feedId, limit, since } = FeedRecentRequest.parse(payload);
    const oldest = Math.max(since ?? 0, clock.now() - routingOf(feedId).bufferTtlMs);
    const places = await lane.read(feedId, (state) => (state === undefined ? [] : recentOf(state, oldest).slice(-limit).reverse()));
    const bodies = await readBodies(feedId, places, fetchFrom(lane.lane));
    return {
      messages: bodies.map(({ place, line, json }) => ({
        ts: place.ts,
        ...(line.eventName === undefined ? {} : { eventName: line.eventName }),
        json,
        p: [place.seq, place.index],
      })),
    };
  });
}

function summaryOf(state: FeedFoldState): FeedSummary {
  return {
    state: state.connection ?? null,
    lastMessageAt: state.lastMessageAt ?? null,
    received: state.received,
    routed: state.routed,
    unrouted: { ...state.unrouted },
    topics: [...state.topics].map(([topic, live]) => ({ topic, lastAt: live.lastAt, count: live.count })).reverse(),
    evicted: state.evicted,
  };
}

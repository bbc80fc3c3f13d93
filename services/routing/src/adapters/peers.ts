/**
 * What the marketplace asks others: ingest about upstreams, the owners of topic lanes about feeds. Ports of the routes and their NATS
 * implementation; somebody who is away is `PeerAway`. Tests: ../marketplace-data.int.test.ts, ../marketplace.int.test.ts.
 */
import { callLane, callService, type Nats, RpcError, RpcUnavailable } from "@headwater/messaging";
import {
  CheckUrlAnswer,
  type CheckUrlRequest,
  FeedRecent,
  type FeedRecentRequest,
  FeedSummary,
  FeedUnrouted,
  laneOf,
  PushAnswer,
  type PushRequest,
  TestFeedAnswer,
  type TestFeedRequest,
} from "@headwater/protocol";
import type { z } from "zod";
import { judgeUrl } from "../domain/outbound-url.ts";

/** Nobody who could answer is there now, or he does not know the feed yet. */
export class PeerAway extends Error {
  override readonly name = "PeerAway";
}

/** The message does not fit into the log. */
export class PushTooLarge extends Error {
  override readonly name = "PushTooLarge";
}

/** More than the feed's plan allows a second. */
export class PushTooFast extends Error {
  override readonly name = "PushTooFast";
}

export interface UpstreamPort {
  /** Names are not resolved while ingest is away. */
  checkUrl(request: CheckUrlRequest): Promise<CheckUrlAnswer["verdict"]>;
  /** @throws PeerAway */
  testFeed(request: TestFeedRequest): Promise<TestFeedAnswer>;
  /** Resolves after the message is stored. @throws PeerAway, PushTooLarge, PushTooFast */
  push(request: PushRequest): Promise<PushAnswer>;
}

export interface TopicsPort {
  /** @throws PeerAway */
  summary(feedId: string): Promise<FeedSummary>;
  unrouted(feedId: string): Promise<FeedUnrouted>;
  recent(request: FeedRecentRequest): Promise<FeedRecent>;
}

const CHECK_WITHIN_MS = 4_000;
const TEST_WITHIN_MS = 28_000;
const PUSH_WITHIN_MS = 6_000;
const READ = { deadlineMs: 5_000, attemptMs: 2_000 };

export function createUpstreamPort(nats: Nats): UpstreamPort {
  return {
    async checkUrl(request) {
      const verdict = judgeUrl(request.url, request.connectionType);
      if (verdict === "invalid") return verdict;
      try {
        return CheckUrlAnswer.parse(await callService(nats, "ingest", "check-url", request, { timeoutMs: CHECK_WITHIN_MS })).verdict;
      } catch (error) {
        if (error instanceof RpcUnavailable || error instanceof RpcError) return verdict;
        throw error;
      }
    },
    testFeed: (request) => ask(TestFeedAnswer, callService(nats, "ingest", "test-feed", request, { timeoutMs: TEST_WITHIN_MS })),
    async push(request) {
      try {
        // Asked once: a repeat could store the message twice.
        const answer = callLane(nats, "upstreams", laneOf(request.feedId), "push", request, { deadlineMs: PUSH_WITHIN_MS });
        return await ask(PushAnswer, answer);
      } catch (error) {
        const status = error instanceof PeerAway && error.cause instanceof RpcError ? error.cause.status : undefined;
        if (status === 413) throw new PushTooLarge("too large", { cause: error });
        if (status === 429) throw new PushTooFast("too fast", { cause: error });
        throw error;
      }
    },
  };
}

export function createTopicsPort(nats: Nats): TopicsPort {
  const read = (feedId: string, verb: string, request: object): Promise<unknown> =>
    callLane(nats, "feeds", laneOf(feedId), verb, request, READ);
  return {
    summary: (feedId) => ask(FeedSummary, read(feedId, "summary", { feedId })),
    unrouted: (feedId) => ask(FeedUnrouted, read(feedId, "unrouted", { feedId })),
    recent: (request) => ask(FeedRecent, read(request.feedId, "recent", request)),
  };
}

async function ask<S extends z.ZodType>(schema: S, answer: Promise<unknown>): Promise<z.infer<S>> {
  try {
    return schema.parse(await answer);
  } catch (error) {
    if (error instanceof RpcUnavailable || error instanceof RpcError) throw new PeerAway(error.message, { cause: error });
    throw error;
  }
}

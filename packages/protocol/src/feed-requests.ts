/**
 * What the owner of a feed's lane can be asked: `rpc.feeds.<lane>.summary|unrouted|recent`. Answered from the fold's state; bodies are read
 * from the log by position. Callers check who may ask. Errors: `not_found` for a feed without a record, `not_owner` while a lane moves.
 */
import { z } from "zod";
import { FeedState } from "./feed-log.ts";

export const FeedSummaryRequest = z.object({ feedId: z.string() });
export type FeedSummaryRequest = z.infer<typeof FeedSummaryRequest>;
export const FeedSummary = z.object({
  /** Newest state ingest told; null before the first. */
  state: FeedState.nullable(),
  /** ms; null before the first message. */
  lastMessageAt: z.number().nullable(),
  received: z.number().int(),
  /** Outputs: a batch counts once per element. */
  routed: z.number().int(),
  unrouted: z.record(z.string(), z.number().int()),
  /** Live topics, most recently updated first. */
  topics: z.array(z.object({ topic: z.string(), lastAt: z.number(), count: z.number().int() })),
  /** Topics dropped because there were more than MAX_TOPICS_PER_FEED. */
  evicted: z.number().int(),
});
export type FeedSummary = z.infer<typeof FeedSummary>;

export const FeedUnroutedRequest = z.object({ feedId: z.string() });
export type FeedUnroutedRequest = z.infer<typeof FeedUnroutedRequest>;
/** Newest first, at most 20. A message that has left the log is missing. */
export const FeedUnrouted = z.object({
  messages: z.array(
    z.object({
      ts: z.number(),
      reason: z.string(),
      /** Source text of the whole message. */
      json: z.string(),
      /** Position of the first element without a topic, when the message is a batch. */
      element: z.number().int().optional(),
    }),
  ),
});
export type FeedUnrouted = z.infer<typeof FeedUnrouted>;

/** `since`, ms: nothing received before it. Nothing older than the feed's buffer time either. */
export const FeedRecentRequest = z.object({
  feedId: z.string(),
  limit: z.number().int().min(1).max(1_000),
  since: z.number().optional(),
});
export type FeedRecentRequest = z.infer<typeof FeedRecentRequest>;
/** Newest first; ends early before the answer passes 2 MiB. `json`: source text, a text message as a JSON string. */
export const FeedRecent = z.object({
  messages: z.array(z.object({ ts: z.number(), eventName: z.string().optional(), json: z.string(), p: z.tuple([z.number(), z.number()]) })),
});
export type FeedRecent = z.infer<typeof FeedRecent>;

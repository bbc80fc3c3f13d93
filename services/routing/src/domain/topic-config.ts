/** How a feed's messages are routed, compiled once per version of its record. Pure; tests: topic-fold.test.ts. */
import type { FeedRecord } from "@headwater/protocol";
import { parseTopicField, type TopicPath } from "@headwater/topic-path";

export interface FeedRouting {
  readonly feedId: string;
  readonly name: string;
  readonly eventName: string;
  /** False: a plain feed, every message goes out as it came. */
  readonly isRouted: boolean;
  /** Undefined on a routed feed whose topic field is missing or invalid: nothing has a topic. */
  readonly path: TopicPath | undefined;
  readonly bufferTtlMs: number;
}

/** The log keeps an hour. */
const MAX_BUFFER_MINUTES = 60;

export function compileRouting(record: FeedRecord): FeedRouting {
  const parsed = parseTopicField(record.topicField);
  return {
    feedId: record.id,
    name: record.name,
    eventName: record.eventName,
    isRouted: record.enableTopicRouting,
    path: parsed.ok ? parsed.path : undefined,
    bufferTtlMs: Math.min(Math.max(record.bufferTtlMinutes, 1), MAX_BUFFER_MINUTES) * 60_000,
  };
}

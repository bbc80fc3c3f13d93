/**
 * Decisions about upstream connections: which feeds want one, when an edit needs a new one, how long to wait before the next attempt. Pure.
 * Tests: upstream-policy.test.ts.
 */
import type { FeedRecord, FeedSecrets } from "@headwater/protocol";

export interface Interest {
  /** Sockets that listen to anything of the feed, in the whole cluster. */
  listeners: number;
  /** When somebody listened last, monotonic ms; undefined = not that we know. */
  lastListenedAt: number | undefined;
}

/** A feed keeps its connection while it is used at rest (subscription, topics), and for a while after its last listener. */
export function isWanted(record: FeedRecord, interest: Interest, now: number, idleTimeoutMs: number): boolean {
  if (!record.isActive) return false;
  if (record.hasSubscriptions || record.enableTopicRouting || interest.listeners > 0) return true;
  return interest.lastListenedAt !== undefined && now - interest.lastListenedAt < idleTimeoutMs;
}

/** What a connection is made of: when this text changes, an open one is out of date. Compare only; it contains credentials. */
export function connectionKey(record: FeedRecord, secrets: FeedSecrets): string {
  return JSON.stringify([
    record.connectionType,
    record.url,
    record.eventName,
    record.connectionMessages,
    record.connectionMessageDelayMs,
    record.dataFormat,
    record.protobufType,
    record.protobufSchema,
    record.pingIntervalMs,
    record.readTimeoutMs,
    record.reconnectionEnabled,
    record.reconnectionDelay,
    record.reconnectionAttempts,
    secrets,
  ]);
}

export const MAX_BACKOFF_MS = 60_000;
const JITTER = 0.2;

/**
 * @param attempt consecutive failures so far, from 1.
 * @param chance in [0, 1).
 * @returns `firstMs` doubled per failure up to a minute (or `firstMs` when that is longer), ±20 %.
 */
export function backoffMs(firstMs: number, attempt: number, chance: number): number {
  const ceiling = Math.max(MAX_BACKOFF_MS, firstMs);
  const plain = Math.min(ceiling, Math.max(1, firstMs) * 2 ** Math.min(30, attempt - 1));
  return plain * (1 - JITTER + 2 * JITTER * chance);
}

/** A connection that lived this long worked: the next failure starts again with the first delay. */
export const STABLE_MS = 30_000;

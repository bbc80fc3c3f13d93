/**
 * What routing remembers about one feed: which line came last, counts, live topics, where recent and unrouted messages stand in the log
 * (never their bodies). Bounded by construction. Pure; tests: topic-state.test.ts.
 */
import type { FeedState } from "@headwater/protocol";

/** Positions of recent messages kept per feed, also bounded in time by the feed's buffer setting. */
export const MAX_RECENT = 1_000;
export const MAX_UNROUTED_KEPT = 20;

/** Place of a line in `feeds.<lane>`. */
export interface LogPlace {
  seq: number;
  index: number;
}

export interface RecentMessage extends LogPlace {
  ts: number;
}

export interface UnroutedMessage extends RecentMessage {
  reason: string;
  /** Element of the batch, when the message is one. */
  element?: number;
}

export interface LiveTopic {
  lastAt: number;
  count: number;
}

export interface FeedFoldState {
  /** Last line taken: lines of a lower epoch, or of the same with a lower or equal `n`, are repeats or come from a replaced writer. */
  epoch: number;
  n: number;
  /** Newest connection state told by ingest. */
  connection?: FeedState;
  lastMessageAt?: number;
  received: number;
  routed: number;
  unrouted: Record<string, number>;
  evicted: number;
  /** Oldest first, at most `MAX_RECENT`. */
  recent: RecentMessage[];
  /** Oldest first. */
  lastUnrouted: UnroutedMessage[];
  /** Least recently updated first. */
  topics: Map<string, LiveTopic>;
}

export function newFeedState(): FeedFoldState {
  return { epoch: 0, n: 0, received: 0, routed: 0, unrouted: {}, evicted: 0, recent: [], lastUnrouted: [], topics: new Map() };
}

/** Takes note of a message. Messages older than `ttlMs` before it leave the list. */
export function rememberMessage(state: FeedFoldState, message: RecentMessage, ttlMs: number): void {
  state.received++;
  state.lastMessageAt = message.ts;
  state.recent.push(message);
  // At every message, so that a restored state holds the same list as one that never left memory.
  while (state.recent.length > MAX_RECENT || (state.recent[0]?.ts ?? 0) < message.ts - ttlMs) state.recent.shift();
}

/** Recent messages not older than `since`, ms, oldest first. */
export function recentOf(state: FeedFoldState, since: number): RecentMessage[] {
  return state.recent.filter((message) => message.ts >= since);
}

export function rememberUnrouted(state: FeedFoldState, message: UnroutedMessage): void {
  state.lastUnrouted.push(message);
  if (state.lastUnrouted.length > MAX_UNROUTED_KEPT) state.lastUnrouted.shift();
}

export function countUnrouted(state: FeedFoldState, reason: string, count = 1): void {
  state.unrouted[reason] = (state.unrouted[reason] ?? 0) + count;
}

/** @returns topics evicted: the least recently updated beyond `maxTopics`. */
export function touchTopic(state: FeedFoldState, topic: string, ts: number, maxTopics: number): number {
  const known = state.topics.get(topic);
  state.topics.delete(topic);
  state.topics.set(topic, { lastAt: ts, count: (known?.count ?? 0) + 1 });
  let evicted = 0;
  for (const oldest of state.topics.keys()) {
    if (state.topics.size <= maxTopics) break;
    state.topics.delete(oldest);
    evicted++;
  }
  state.evicted += evicted;
  return evicted;
}

/** Rough bytes of memory. */
export function feedStateBytes(state: FeedFoldState): number {
  let bytes = 512 + state.recent.length * 56 + state.lastUnrouted.length * 96;
  // A topic has at most 256 bytes and most have few: names are not walked for every chunk.
  bytes += state.topics.size * 160;
  return bytes;
}

/** JSON of a state: positions as differences, so that a thousand of them stay small. Holds no reference into the state. */
interface StoredFeedState {
  e: number;
  n: number;
  c?: FeedState;
  l?: number;
  r: number;
  o: number;
  u: Record<string, number>;
  x: number;
  /** seq, index, ts of the first message, then differences of seq and ts. */
  p: number[];
  q: UnroutedMessage[];
  t: [topic: string, lastAt: number, count: number][];
}

export function serializeFeedState(state: FeedFoldState): StoredFeedState {
  const p: number[] = [];
  let [seq, ts] = [0, 0];
  for (const message of state.recent) {
    p.push(message.seq - seq, message.index, message.ts - ts);
    [seq, ts] = [message.seq, message.ts];
  }
  return {
    e: state.epoch,
    n: state.n,
    ...(state.connection === undefined ? {} : { c: state.connection }),
    ...(state.lastMessageAt === undefined ? {} : { l: state.lastMessageAt }),
    r: state.received,
    o: state.routed,
    u: { ...state.unrouted },
    x: state.evicted,
    p,
    q: state.lastUnrouted.map((message) => ({ ...message })),
    t: [...state.topics].map(([topic, live]) => [topic, live.lastAt, live.count]),
  };
}

export function deserializeFeedState(json: unknown): FeedFoldState {
  // Written by serializeFeedState of the same schema version; the engine checks version and checksum.
  const stored = json as StoredFeedState;
  const recent: RecentMessage[] = [];
  let [seq, ts] = [0, 0];
  for (let i = 0; i + 2 < stored.p.length; i += 3) {
    seq += stored.p[i] ?? 0;
    ts += stored.p[i + 2] ?? 0;
    recent.push({ seq, index: stored.p[i + 1] ?? 0, ts });
  }
  return {
    epoch: stored.e,
    n: stored.n,
    ...(stored.c === undefined ? {} : { connection: stored.c }),
    ...(stored.l === undefined ? {} : { lastMessageAt: stored.l }),
    received: stored.r,
    routed: stored.o,
    unrouted: { ...stored.u },
    evicted: stored.x,
    recent,
    lastUnrouted: stored.q,
    topics: new Map(stored.t.map(([topic, lastAt, count]) => [topic, { lastAt, count }])),
  };
}

/**
 * The newest messages per feed and topic, in bounded memory: so many per topic, so many topics and bytes per feed, so many bytes in all; what
 * was updated longest ago goes first. Entries never change, a window is a copy of the list. Pure. Tests: context-store.test.ts.
 */
import type { WindowEntry } from "./material.ts";

/** `json`: source text of one JSON value; a text message is `{"raw":"…"}`. Entries of one frame share `seq`. */
export interface ContextEntry extends WindowEntry {
  /** Sequence of its frame in TOPICS. */
  seq: number;
}

/** A snapshot: never changes after it was taken. */
export interface Window {
  /** Newest first, at least one, at most LLM_CONTEXT_LIMIT. */
  entries: readonly ContextEntry[];
  /** TOPICS sequences. */
  oldestSeq: number;
  newestSeq: number;
}

export interface ContextLimits {
  /** Messages of one window. */
  entries: number;
  topicsPerFeed: number;
  /** Characters of messages; about bytes. */
  bytesPerFeed: number;
  bytes: number;
}

export interface ContextStats {
  feeds: number;
  topics: number;
  bytes: number;
  /** Since the start: topics and feeds that were dropped for their bound. */
  evictedTopics: number;
  evictedFeeds: number;
}

/** One message longer than this is kept cut, as text: a prompt shows less of it. UTF-16 units. */
export const MAX_KEPT_CHARS = 65_536;
const ENTRY_OVERHEAD_BYTES = 160;

/** Oldest first. */
interface Shelf {
  entries: ContextEntry[];
  bytes: number;
}

interface FeedContext {
  /** All messages of the feed, whatever their topic. */
  all: Shelf;
  /** Least recently updated first. */
  topics: Map<string, Shelf>;
  bytes: number;
}

const sizeOf = (entry: ContextEntry): number => entry.json.length + ENTRY_OVERHEAD_BYTES;

export class ContextStore {
  readonly #limits: ContextLimits;
  /** Least recently updated first. */
  readonly #feeds = new Map<string, FeedContext>();
  #bytes = 0;
  #evictedTopics = 0;
  #evictedFeeds = 0;

  constructor(limits: ContextLimits) {
    this.#limits = limits;
  }

  /** In the order of the log. @param json source text of the upstream's JSON value. */
  append(feedId: string, topic: string | undefined, message: { ts: number; seq: number; json: string }): void {
    const entry: ContextEntry = { ts: message.ts, seq: message.seq, json: keptText(message.json), topic };
    const feed = this.#feeds.get(feedId) ?? { all: { entries: [], bytes: 0 }, topics: new Map<string, Shelf>(), bytes: 0 };
    this.#feeds.delete(feedId);
    this.#feeds.set(feedId, feed);
    this.#put(feed, feed.all, entry);
    if (topic !== undefined) {
      const shelf = feed.topics.get(topic) ?? { entries: [], bytes: 0 };
      feed.topics.delete(topic);
      feed.topics.set(topic, shelf);
      this.#put(feed, shelf, entry);
    }
    this.#bound(feedId, feed);
  }

  /** Newest first. No topic: all messages of the feed, each with its topic. */
  window(feedId: string, topic: string | undefined): Window | undefined {
    const feed = this.#feeds.get(feedId);
    const shelf = topic === undefined ? feed?.all : feed?.topics.get(topic);
    const newest = shelf?.entries.at(-1);
    const oldest = shelf?.entries[0];
    if (shelf === undefined || newest === undefined || oldest === undefined) return undefined;
    const labelled = shelf.entries.toReversed();
    const entries = topic === undefined ? labelled : labelled.map(({ ts, seq, json }) => ({ ts, seq, json }));
    return { entries, oldestSeq: oldest.seq, newestSeq: newest.seq };
  }

  lastArrival(feedId: string, topic: string | undefined): { ts: number; seq: number } | undefined {
    const feed = this.#feeds.get(feedId);
    const newest = (topic === undefined ? feed?.all : feed?.topics.get(topic))?.entries.at(-1);
    return newest && { ts: newest.ts, seq: newest.seq };
  }

  /** Most recently updated first. */
  topics(feedId: string): string[] {
    return [...(this.#feeds.get(feedId)?.topics.keys() ?? [])].reverse();
  }

  /** Forgets messages up to a position: of one topic, or of the whole feed. */
  clear(feedId: string, topic: string | undefined, upToSeq: number): void {
    const feed = this.#feeds.get(feedId);
    if (feed === undefined) return;
    const isGone = (entry: ContextEntry): boolean => entry.seq <= upToSeq && (topic === undefined || entry.topic === topic);
    this.#keep(feed, feed.all, isGone);
    for (const [name, shelf] of feed.topics) {
      if (topic !== undefined && name !== topic) continue;
      this.#keep(feed, shelf, isGone);
      if (shelf.entries.length === 0) feed.topics.delete(name);
    }
    if (feed.all.entries.length === 0 && feed.topics.size === 0) this.#feeds.delete(feedId);
  }

  dropFeed(feedId: string): void {
    const feed = this.#feeds.get(feedId);
    if (feed === undefined) return;
    this.#bytes -= feed.bytes;
    this.#feeds.delete(feedId);
  }

  dropWhere(isGone: (feedId: string) => boolean): void {
    for (const feedId of this.#feeds.keys()) if (isGone(feedId)) this.dropFeed(feedId);
  }

  stats(): ContextStats {
    let topics = 0;
    for (const feed of this.#feeds.values()) topics += feed.topics.size;
    return {
      feeds: this.#feeds.size,
      topics,
      bytes: this.#bytes,
      evictedTopics: this.#evictedTopics,
      evictedFeeds: this.#evictedFeeds,
    };
  }

  #put(feed: FeedContext, shelf: Shelf, entry: ContextEntry): void {
    shelf.entries.push(entry);
    this.#count(feed, shelf, sizeOf(entry));
    if (shelf.entries.length > this.#limits.entries) this.#shift(feed, shelf);
  }

  #shift(feed: FeedContext, shelf: Shelf): void {
    const oldest = shelf.entries.shift();
    if (oldest) this.#count(feed, shelf, -sizeOf(oldest));
  }

  #keep(feed: FeedContext, shelf: Shelf, isGone: (entry: ContextEntry) => boolean): void {
    for (const entry of shelf.entries) if (isGone(entry)) this.#count(feed, shelf, -sizeOf(entry));
    shelf.entries = shelf.entries.filter((entry) => !isGone(entry));
  }

  /** A message in two lists counts twice: an upper bound. */
  #count(feed: FeedContext, shelf: Shelf, bytes: number): void {
    shelf.bytes += bytes;
    feed.bytes += bytes;
    this.#bytes += bytes;
  }

  #bound(feedId: string, feed: FeedContext): void {
    const { topicsPerFeed, bytesPerFeed, bytes } = this.#limits;
    while (feed.topics.size > topicsPerFeed || (feed.bytes > bytesPerFeed && feed.topics.size > 1)) this.#dropOldestTopic(feed);
    while (feed.bytes > bytesPerFeed && feed.all.entries.length > 1) {
      this.#shift(feed, feed.all);
      for (const shelf of feed.topics.values()) if (shelf.entries.length > 1) this.#shift(feed, shelf);
    }
    for (const other of this.#feeds.keys()) {
      if (this.#bytes <= bytes || other === feedId) break;
      this.dropFeed(other);
      this.#evictedFeeds++;
    }
  }

  #dropOldestTopic(feed: FeedContext): void {
    const [oldest] = feed.topics;
    if (oldest === undefined) return;
    const [name, shelf] = oldest;
    this.#count(feed, shelf, -shelf.bytes);
    feed.topics.delete(name);
    this.#evictedTopics++;
  }
}

/** A text message becomes an object; any other JSON stays as it was written. */
function keptText(json: string): string {
  if (json.length > MAX_KEPT_CHARS) return `{"raw":${JSON.stringify(json.slice(0, MAX_KEPT_CHARS))},"_truncated":true}`;
  return json.startsWith('"') ? `{"raw":${json}}` : json;
}

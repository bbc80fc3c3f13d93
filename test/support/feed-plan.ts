/**
 * Who sends what in a run with upstream feeds: recorded messages of real providers with an id in front, spread over numbered feeds by a
 * timetable. Pure but for reading the recordings, so that upstream, sinks and checkers agree without talking. Tests: feed-plan.unit.test.ts.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";

const ROOT = path.resolve(import.meta.dirname, "../..");

interface Source {
  provider: string;
  file: string;
  topicField: string;
  topicOf: (message: never) => unknown;
}

const SOURCES: readonly Source[] = [
  {
    provider: "coinbase",
    file: "packages/standalone/demo/feeds/coinbase.jsonl.gz",
    topicField: "product_id",
    topicOf: (m: { product_id?: unknown }) => m.product_id,
  },
  { provider: "kraken", file: "packages/standalone/demo/feeds/kraken.jsonl.gz", topicField: "[-1]", topicOf: lastOf },
  {
    provider: "binance-futures",
    file: "test/data/feeds/binance-futures.jsonl.gz",
    topicField: "data.s",
    topicOf: (m: { data?: { s?: unknown } }) => m.data?.s,
  },
  {
    provider: "kucoin",
    file: "test/data/feeds/kucoin.jsonl.gz",
    topicField: "data.symbol",
    topicOf: (m: { data?: { symbol?: unknown } }) => m.data?.symbol,
  },
  { provider: "bybit", file: "test/data/feeds/bybit.jsonl.gz", topicField: "topic", topicOf: (m: { topic?: unknown }) => m.topic },
];

interface Template {
  /** Source text before and after the id. */
  head: string;
  tail: string;
  topic: number;
}

export interface PlannedFeed {
  index: number;
  provider: string;
  isRouted: boolean;
  topicField: string;
  /** Most frequent first. */
  topics: readonly string[];
  templates: readonly Template[];
}

export interface PlannedMessage {
  feed: PlannedFeed;
  template: Template;
}

/** @param plainEvery every so many feeds one without topic routing; 0 = none. */
export function planFeeds(count: number, plainEvery: number): PlannedFeed[] {
  const loaded = SOURCES.map((source) => ({ source, ...load(source) }));
  return Array.from({ length: count }, (_, index): PlannedFeed => {
    const { source, topics, templates } = loaded[index % loaded.length] ?? fail();
    const isRouted = plainEvery === 0 || index % plainEvery !== plainEvery - 1;
    return { index, provider: source.provider, isRouted, topicField: source.topicField, topics, templates };
  });
}

/** Message `n` of a run: feeds take turns, and each goes through its recording from a place of its own. */
export function messageAt(feeds: readonly PlannedFeed[], n: number): PlannedMessage {
  const feed = feeds[n % feeds.length] ?? fail();
  const template = feed.templates[(Math.floor(n / feeds.length) + feed.index * 37) % feed.templates.length] ?? fail();
  return { feed, template };
}

export const ID_MARKER = '"_b":"';
/** `<run>.<n>.<feed>.<topic>.<due µs>`, each of fixed width, so that it can be read by place. */
export const ID = { run: 6, n: 8, feed: 3, topic: 3, due: 15 } as const;
const AT_N = ID.run + 1;
const AT_FEED = AT_N + ID.n + 1;
const AT_TOPIC = AT_FEED + ID.feed + 1;
const AT_DUE = AT_TOPIC + ID.topic + 1;
export const ID_LENGTH = AT_DUE + ID.due;
/** Feed and topic within an id: what a reference pipeline routes by. */
export const KEY_AT = AT_FEED;
export const KEY_LENGTH = ID.feed + 1 + ID.topic;

export function messageText({ feed, template }: PlannedMessage, run: string, n: number, dueUs: number): string {
  if (run.length !== ID.run) throw new RangeError(`a run's name has ${ID.run} characters`);
  const key = subscriptionKey(feed.index, template.topic);
  return `${template.head}${run}.${digits(n, ID.n)}.${key}.${digits(Math.round(dueUs), ID.due)}${template.tail}`;
}

/** Without a topic: everything of the feed. */
export function subscriptionKey(feed: number, topic?: number): string {
  return topic === undefined ? digits(feed, ID.feed) : `${digits(feed, ID.feed)}.${digits(topic, ID.topic)}`;
}

export interface MessageId {
  run: string;
  n: number;
  feed: number;
  topic: number;
  dueUs: number;
}

/** The first id within a message; undefined when there is none. */
export function readMessageId(payload: Buffer): MessageId | undefined {
  const found = payload.indexOf(ID_MARKER, 0, "latin1");
  if (found === -1) return undefined;
  const at = found + ID_MARKER.length;
  return {
    run: payload.toString("latin1", at, at + ID.run),
    n: numberAt(payload, at + AT_N, ID.n),
    feed: numberAt(payload, at + AT_FEED, ID.feed),
    topic: numberAt(payload, at + AT_TOPIC, ID.topic),
    dueUs: numberAt(payload, at + AT_DUE, ID.due),
  };
}

function numberAt(payload: Buffer, at: number, length: number): number {
  let value = 0;
  for (let i = at; i < at + length; i++) value = value * 10 + (payload[i] ?? 0) - 0x30;
  return value;
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

/** Only messages that have a topic, so that a routed feed loses none by contract. */
function load(source: Source): { topics: string[]; templates: Template[] } {
  const counts = new Map<string, number>();
  const raws: { raw: string; topic: string }[] = [];
  for (const line of gunzipSync(readFileSync(path.join(ROOT, source.file)))
    .toString()
    .split("\n")) {
    if (line === "") continue;
    const { dir, raw } = JSON.parse(line) as { dir: string; raw: string };
    if (dir !== "in") continue;
    const topic: unknown = source.topicOf(JSON.parse(raw) as never);
    if (typeof topic !== "string") continue;
    counts.set(topic, (counts.get(topic) ?? 0) + 1);
    raws.push({ raw: raw.trim(), topic });
  }
  const topics = [...counts.keys()].toSorted((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0));
  const numbers = new Map(topics.map((topic, index) => [topic, index]));
  const templates = raws.map(({ raw, topic }): Template => {
    const [head, tail] = raw.startsWith("[") ? [`[{${ID_MARKER}`, `"},${raw.slice(1)}`] : [`{${ID_MARKER}`, `",${raw.slice(1)}`];
    return { head, tail, topic: numbers.get(topic) ?? fail() };
  });
  return { topics, templates };
}

function lastOf(message: unknown): unknown {
  return Array.isArray(message) ? message.at(-1) : undefined;
}

function fail(): never {
  throw new Error("the plan has no such feed");
}

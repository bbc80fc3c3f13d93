/**
 * Real messages of sixteen providers, each routed by the topic field a user would choose: every routed topic must be what JSON.parse and a
 * plain walk find in the recording, and every message must be accounted for.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { feedKeys, parseFeedKey } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import type { FeedRouting } from "./topic-config.ts";
import { parseTopicField } from "@headwater/topic-path";
import { foldFeedLine } from "./topic-fold.ts";
import { newFeedState } from "./topic-state.ts";

const ROOT = path.resolve(import.meta.dirname, "../../../..");
const FEED = "697d10f5824ee2ba77fcad87";

interface Recorded {
  dir: "in" | "out";
  raw: string;
}

/** Messages of a recording as text, binary frames too: the recordings hold them decompressed. */
function messagesOf(file: string): string[] {
  return gunzipSync(readFileSync(path.join(ROOT, file)))
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Recorded)
    .filter((line) => line.dir === "in")
    .map((line) => line.raw);
}

/** The rules once more, as plainly as possible, on values: names as strings, positions as numbers. */
function walk(value: unknown, steps: readonly (string | number)[]): string | undefined {
  let current = value;
  for (const step of steps) {
    if (typeof step === "number") current = Array.isArray(current) ? current.at(step) : undefined;
    else if (typeof current !== "object" || current === null || Array.isArray(current) || !Object.hasOwn(current, step)) return undefined;
    else current = (current as Record<string, unknown>)[step];
  }
  return typeof current === "number" || typeof current === "boolean" || (typeof current === "string" && current !== "")
    ? String(current)
    : undefined;
}

const CHOICES: [file: string, topicField: string, steps: (string | number)[], leastTopics: number][] = [
  ["packages/standalone/demo/feeds/coinbase.jsonl.gz", "product_id", ["product_id"], 10],
  ["packages/standalone/demo/feeds/kraken.jsonl.gz", "[-1]", [-1], 10],
  ["test/data/feeds/binance.jsonl.gz", "data.s", ["data", "s"], 1],
  ["test/data/feeds/binance-futures.jsonl.gz", "data.s", ["data", "s"], 4],
  ["test/data/feeds/bitfinex.jsonl.gz", "[0]", [0], 10],
  ["test/data/feeds/bitstamp.jsonl.gz", "channel", ["channel"], 10],
  ["test/data/feeds/bybit.jsonl.gz", "topic", ["topic"], 10],
  ["test/data/feeds/dydx.jsonl.gz", "id", ["id"], 10],
  ["test/data/feeds/gateio.jsonl.gz", "result.s", ["result", "s"], 1],
  ["test/data/feeds/htx-swap.jsonl.gz", "ch", ["ch"], 5],
  ["test/data/feeds/kraken-futures.jsonl.gz", "product_id", ["product_id"], 5],
  ["test/data/feeds/kucoin.jsonl.gz", "data.symbol", ["data", "symbol"], 5],
  ["test/data/feeds/okx.jsonl.gz", "arg.instId", ["arg", "instId"], 2],
  ["test/data/feeds/ripe-ris-live.jsonl.gz", "data.path[-1]", ["data", "path", -1], 1],
  ["test/data/feeds/upbit.jsonl.gz", "cd", ["cd"], 3],
  ["test/data/feeds/wikimedia-eventstreams.jsonl.gz", "meta.domain", ["meta", "domain"], 1],
];

describe("recordings", () => {
  it.each(CHOICES)("%s by %s", (file, topicField, steps, leastTopics) => {
    const parsed = parseTopicField(topicField);
    if (!parsed.ok) throw new Error(parsed.reason);
    const routing: FeedRouting = { feedId: FEED, name: "f", eventName: "message", isRouted: true, path: parsed.path, bufferTtlMs: 60_000 };
    const messages = messagesOf(file);
    const state = newFeedState();
    const topics = new Set<string>();
    let unrouted = 0;
    messages.forEach((json, i) => {
      const got: { topic: string; data: unknown }[] = [];
      foldFeedLine(
        state,
        { feedId: FEED, epoch: 1, n: i + 1, ts: i + 1, kind: "json", json },
        routing,
        { seq: i + 1, index: 0 },
        { maxTopics: 1_000, maxOutputBytes: 4 * 1024 * 1024 },
        {
          emit(key, wire) {
            const parsedKey = parseFeedKey(key);
            if (parsedKey.kind !== "topic") throw new Error(key);
            expect(key).toBe(feedKeys.topic(FEED, parsedKey.topic));
            const frame = JSON.parse(wire) as { payload: { topic: string; data: unknown } };
            expect(frame.payload.topic).toBe(parsedKey.topic);
            got.push({ topic: parsedKey.topic, data: frame.payload.data });
          },
          count: () => undefined,
        },
      );
      const message: unknown = JSON.parse(json);
      const entries = Array.isArray(message) && typeof steps[0] === "string" ? (message as unknown[]) : [message];
      const wanted = entries.flatMap((entry) => {
        const topic = walk(entry, steps);
        return topic === undefined ? [] : [{ topic, data: entry }];
      });
      unrouted += entries.length - wanted.length;
      expect(got).toEqual(wanted);
      for (const { topic } of got) topics.add(topic);
    });
    expect(topics.size).toBeGreaterThanOrEqual(leastTopics);
    expect(state.topics.size).toBe(topics.size);
    expect(state.received).toBe(messages.length);
    expect(Object.values(state.unrouted).reduce((sum, count) => sum + count, 0)).toBe(unrouted);
    expect(state.routed).toBeGreaterThan(0);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ContextLimits, ContextStore, MAX_KEPT_CHARS } from "./context-store.ts";

const LIMITS: ContextLimits = { entries: 3, topicsPerFeed: 2, bytesPerFeed: 1_000_000, bytes: 10_000_000 };
const storeWith = (limits: Partial<ContextLimits> = {}): ContextStore => new ContextStore({ ...LIMITS, ...limits });
const put = (store: ContextStore, feedId: string, topic: string | undefined, seq: number, json = `{"n":${seq}}`): void =>
  store.append(feedId, topic, { ts: seq * 10, seq, json });
const texts = (store: ContextStore, feedId: string, topic?: string): string[] =>
  store.window(feedId, topic)?.entries.map(({ json }) => json) ?? [];

describe("windows", () => {
  it("hold the newest messages of a topic, newest first, without its name", () => {
    const store = storeWith();
    for (let seq = 1; seq <= 5; seq++) put(store, "f", "a", seq);
    expect(store.window("f", "a")).toEqual({
      entries: [5, 4, 3].map((seq) => ({ ts: seq * 10, seq, json: `{"n":${seq}}` })),
      oldestSeq: 3,
      newestSeq: 5,
    });
    expect(store.lastArrival("f", "a")).toEqual({ ts: 50, seq: 5 });
  });

  it("of a whole feed hold the newest messages of all topics, each with its topic", () => {
    const store = storeWith();
    for (const [seq, topic] of ["a", "b", "b", "a"].entries()) put(store, "f", topic, seq);
    expect(store.window("f", undefined)?.entries.map(({ seq, topic }) => [seq, topic])).toEqual([
      [3, "a"],
      [2, "b"],
      [1, "b"],
    ]);
    expect(store.topics("f")).toEqual(["a", "b"]);
  });

  it("do not change after they were taken (W28)", () => {
    const store = storeWith();
    put(store, "f", "a", 1);
    const taken = store.window("f", "a");
    const before = structuredClone(taken);
    for (let seq = 2; seq < 9; seq++) put(store, "f", "a", seq);
    store.clear("f", undefined, 100);
    expect(taken).toEqual(before);
  });

  it("are absent where nothing came", () => {
    const store = storeWith();
    put(store, "f", "a", 1);
    expect([store.window("f", "b"), store.window("g", undefined), store.lastArrival("g", "a")]).toEqual([undefined, undefined, undefined]);
    expect(store.topics("g")).toEqual([]);
  });

  it("keep source text, make objects of texts, and cut what is huge", () => {
    const store = storeWith();
    const huge = `["${"x".repeat(MAX_KEPT_CHARS)}"]`;
    for (const [seq, json] of ['{"n":1e400}', '"plain \\" text"', huge].entries()) put(store, "f", "a", seq, json);
    const [cut = "", text, exact] = texts(store, "f", "a");
    expect([text, exact]).toEqual(['{"raw":"plain \\" text"}', '{"n":1e400}']);
    expect(JSON.parse(cut)).toEqual({ raw: huge.slice(0, MAX_KEPT_CHARS), _truncated: true });
  });
});

describe("bounds (W27)", () => {
  it("drop the topic that was updated longest ago", () => {
    const store = storeWith();
    for (const [seq, topic] of ["a", "b", "a", "c"].entries()) put(store, "f", topic, seq);
    expect(store.topics("f")).toEqual(["c", "a"]);
    expect(store.stats()).toMatchObject({ evictedTopics: 1, topics: 2 });
  });

  it("drop the feed that was updated longest ago when memory is full, never the one being written", () => {
    const store = storeWith({ bytes: 2_000 });
    const big = JSON.stringify("x".repeat(300));
    for (const [seq, feedId] of ["f", "g", "f", "h"].entries()) put(store, feedId, "a", seq, big);
    expect(store.window("g", "a")).toBeUndefined();
    expect(store.window("h", "a")).toBeDefined();
    expect(store.stats().evictedFeeds).toBeGreaterThan(0);
  });

  it("hold for any messages, and the count of bytes is exact", () => {
    const message = fc.record({
      feed: fc.constantFrom("f", "g", "h"),
      topic: fc.option(fc.constantFrom("a", "b", "c", "d"), { nil: undefined }),
      size: fc.integer({ min: 0, max: 900 }),
      isClear: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 80 }), (messages) => {
        const store = storeWith({ bytesPerFeed: 3_000, bytes: 6_000 });
        for (const [seq, { feed, topic, size, isClear }] of messages.entries()) {
          if (isClear && size < 100) store.clear(feed, topic, seq - 2);
          else put(store, feed, topic, seq, JSON.stringify({ x: "x".repeat(size) }));
          const { bytes, topics } = store.stats();
          expect(bytes).toBeLessThanOrEqual(6_000);
          expect(topics).toBeLessThanOrEqual(6);
          if (!isClear) expect(store.lastArrival(feed, undefined)?.seq).toBe(seq);
        }
        for (const feed of ["f", "g", "h"]) store.dropFeed(feed);
        expect(store.stats()).toMatchObject({ bytes: 0, feeds: 0, topics: 0 });
      }),
    );
  });
});

describe("clearing", () => {
  it("forgets a topic or all up to a position, and no later message", () => {
    const store = storeWith();
    for (const [seq, topic] of ["a", "b", "a"].entries()) put(store, "f", topic, seq);
    store.clear("f", "a", 1);
    expect(texts(store, "f", "a")).toEqual(['{"n":2}']);
    expect(texts(store, "f")).toEqual(['{"n":2}', '{"n":1}']);
    store.clear("f", undefined, 1);
    expect(texts(store, "f")).toEqual(['{"n":2}']);
    store.clear("f", undefined, 2);
    expect(store.stats()).toMatchObject({ feeds: 0, bytes: 0 });
    store.clear("unknown", undefined, 2);
  });

  it("forgets feeds by a rule", () => {
    const store = storeWith();
    for (const feed of ["f", "g"]) put(store, feed, "a", 1);
    store.dropWhere((feedId) => feedId === "f");
    expect([store.window("f", "a"), store.window("g", "a")?.newestSeq]).toEqual([undefined, 1]);
  });
});

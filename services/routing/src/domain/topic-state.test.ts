import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  countUnrouted,
  deserializeFeedState,
  feedStateBytes,
  MAX_RECENT,
  MAX_UNROUTED_KEPT,
  newFeedState,
  recentOf,
  rememberMessage,
  rememberUnrouted,
  serializeFeedState,
  touchTopic,
} from "./topic-state.ts";

const TTL = 60_000;

describe("recent messages", () => {
  it("keeps the newest thousand, whatever comes", () => {
    const state = newFeedState();
    for (let i = 1; i <= 25_000; i++) rememberMessage(state, { seq: i, index: 0, ts: i }, TTL);
    const recent = recentOf(state, 0);
    expect(recent).toHaveLength(MAX_RECENT);
    expect(recent.at(0)?.seq).toBe(24_001);
    expect(recent.at(-1)?.seq).toBe(25_000);
    expect(state).toMatchObject({ received: 25_000, lastMessageAt: 25_000 });
  });
  it("answers by time, and forgets what is too old on its own", () => {
    const state = newFeedState();
    for (let i = 1; i <= 10; i++) rememberMessage(state, { seq: i, index: 0, ts: i * 1_000 }, TTL);
    expect(recentOf(state, 8_000).map((message) => message.seq)).toEqual([8, 9, 10]);
    rememberMessage(state, { seq: 11, index: 0, ts: 1_000_000 }, TTL);
    expect(state.recent).toEqual([{ seq: 11, index: 0, ts: 1_000_000 }]);
  });
});

it("keeps the last twenty unrouted messages", () => {
  const state = newFeedState();
  for (let i = 1; i <= 50; i++) rememberUnrouted(state, { seq: i, index: 0, ts: i, reason: "missing" });
  expect(state.lastUnrouted.map((message) => message.seq)).toEqual(Array.from({ length: MAX_UNROUTED_KEPT }, (_, i) => 31 + i));
});

describe("storing", () => {
  const change = fc.oneof(
    fc.record({ do: fc.constant("message" as const), ts: fc.nat({ max: 10_000_000 }), index: fc.nat({ max: 255 }) }),
    fc.record({ do: fc.constant("topic" as const), topic: fc.string({ minLength: 1 }), ts: fc.nat() }),
    fc.record({ do: fc.constant("unrouted" as const), reason: fc.constantFrom("missing", "null"), ts: fc.nat() }),
  );
  it("comes back as it went, and goes on alike", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), fc.nat({ max: 60 }), (changes, cut) => {
        const live = newFeedState();
        let copy = newFeedState();
        changes.forEach((each, i) => {
          for (const state of [live, copy]) {
            if (each.do === "message") rememberMessage(state, { seq: i + 1, index: each.index, ts: each.ts }, TTL);
            else if (each.do === "topic") touchTopic(state, each.topic, each.ts, 5);
            else {
              countUnrouted(state, each.reason);
              rememberUnrouted(state, { seq: i + 1, index: 0, ts: each.ts, reason: each.reason });
            }
          }
          if (i === cut) copy = deserializeFeedState(JSON.parse(JSON.stringify(serializeFeedState(copy))));
        });
        expect(copy).toEqual(live);
        expect([...copy.topics]).toEqual([...live.topics]);
        expect(serializeFeedState(copy)).toEqual(serializeFeedState(live));
      }),
    );
  });
  it("holds no reference into the state", () => {
    const state = newFeedState();
    countUnrouted(state, "missing");
    rememberUnrouted(state, { seq: 1, index: 0, ts: 1, reason: "missing" });
    const stored = JSON.stringify(serializeFeedState(state));
    const kept = serializeFeedState(state);
    countUnrouted(state, "missing");
    for (const message of state.lastUnrouted) message.reason = "changed";
    expect(JSON.stringify(kept)).toBe(stored);
  });
  it("is small, full as it may be", () => {
    const state = newFeedState();
    for (let i = 1; i <= 5_000; i++) {
      rememberMessage(state, { seq: 4_000_000 + i, index: i % 100, ts: 1_769_802_850_630 + i * 10 }, TTL);
      touchTopic(state, `TOPIC-${i}`, 1_769_802_850_630, 1_000);
    }
    expect(JSON.stringify(serializeFeedState(state)).length).toBeLessThan(64 * 1024);
    expect(feedStateBytes(state)).toBeLessThan(512 * 1024);
  });
});

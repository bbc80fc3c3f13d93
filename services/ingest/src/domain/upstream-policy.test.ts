/** Who is wanted, when an edit reconnects, how long to wait, how much to read. */
import type { FeedRecord, FeedSecrets } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feedRecord } from "../testing/upstream-harness.ts";
import { FeedBudget } from "./upstream-budget.ts";
import { backoffMs, connectionKey, isWanted, MAX_BACKOFF_MS } from "./upstream-policy.ts";

const NONE: FeedSecrets = { queryParams: [], headers: [] };

describe("isWanted", () => {
  const idle = feedRecord("f", { hasSubscriptions: false });
  const nobody = { listeners: 0, lastListenedAt: undefined };
  it.each([
    ["nobody uses it", idle, nobody, false],
    ["a subscription at rest", feedRecord("f"), nobody, true],
    ["topics", feedRecord("f", { hasSubscriptions: false, enableTopicRouting: true }), nobody, true],
    ["a listener", idle, { listeners: 1, lastListenedAt: undefined }, true],
    ["a listener that left just now", idle, { listeners: 0, lastListenedAt: 901 }, true],
    ["a listener that left long ago", idle, { listeners: 0, lastListenedAt: 900 }, false],
    ["switched off", feedRecord("f", { isActive: false, enableTopicRouting: true }), { listeners: 3, lastListenedAt: 1_000 }, false],
  ])("%s", (_what, record, interest, expected) => {
    expect(isWanted(record, interest, 1_000, 100)).toBe(expected);
  });
});

describe("connectionKey", () => {
  const record = feedRecord("f");
  const key = connectionKey(record, NONE);
  it("does not change with what a connection is not made of", () => {
    const other = {
      ...record,
      name: "n",
      isPublic: true,
      topicField: "s",
      enableTopicRouting: true,
      queryInterval: 5,
      updatedAt: "later",
    } as const;
    expect(connectionKey(other, NONE)).toBe(key);
  });
  it.each<Partial<FeedRecord>>([
    { url: "wss://other.example" },
    { connectionType: "socketio" },
    { connectionMessages: ["x"] },
    { connectionMessageDelayMs: 5 },
    { eventName: "e" },
    { dataFormat: "text" },
    { readTimeoutMs: 1 },
  ])("changes with %j", (change) => {
    expect(connectionKey(feedRecord("f", change), NONE)).not.toBe(key);
  });
  it("changes with credentials", () => {
    expect(connectionKey(record, { ...NONE, headers: [{ key: "a", value: "b" }] })).not.toBe(key);
  });
});

describe("backoffMs", () => {
  it("doubles from the first delay to a minute, never gives up (W18)", () => {
    const waits = Array.from({ length: 9 }, (_, i) => backoffMs(1_000, i + 1, 0.5));
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect(backoffMs(1_000, 100_000, 0.5)).toBe(MAX_BACKOFF_MS);
  });
  it("stays within 20 % of it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300_000 }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (first, attempt, chance) => {
          const plain = backoffMs(first, attempt, 0.5);
          const actual = backoffMs(first, attempt, chance);
          expect(actual).toBeGreaterThanOrEqual(plain * 0.8 - 1e-6);
          expect(actual).toBeLessThanOrEqual(plain * 1.2 + 1e-6);
          expect(actual).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe("FeedBudget", () => {
  const rates = { messagesPerSecond: 10, bytesPerSecond: 1_000 };
  it("takes a second's worth at once, then the rate", () => {
    const budget = new FeedBudget(rates, 0);
    const taken = (from: number, to: number): number => {
      let count = 0;
      for (let at = from; at < to; at += 10) if (budget.take(1, at) === "take") count++;
      return count;
    };
    expect(taken(0, 1_000)).toBeGreaterThanOrEqual(19);
    expect(taken(1_000, 2_000)).toBeLessThanOrEqual(11);
  });
  it("lets one large frame through and makes the feed pay it back", () => {
    const budget = new FeedBudget(rates, 0);
    expect(budget.take(5_000, 0)).toBe("take");
    expect(budget.take(1, 3_900)).not.toBe("take");
    expect(budget.take(1, 4_100)).toBe("take");
  });
  it("counts what a frame unpacked to", () => {
    const budget = new FeedBudget(rates, 0);
    expect(budget.take(1, 0)).toBe("take");
    budget.charge(2_000);
    expect(budget.take(1, 500)).toBe("drop");
  });
  it("makes a batch be paid back, a huge one for a minute", () => {
    const budget = new FeedBudget(rates, 0);
    expect(budget.take(1, 0)).toBe("take");
    budget.charge(0, 49);
    expect(budget.take(1, 4_000)).not.toBe("take");
    expect(budget.take(1, 4_200)).toBe("take");
    budget.charge(0, 1_000_000);
    expect(budget.take(1, 64_000)).not.toBe("take");
    expect(budget.take(1, 64_400)).toBe("take");
  });
  it("asks for a pause when a second brings far too much, until the second is over", () => {
    const budget = new FeedBudget(rates, 0);
    const answers = Array.from({ length: 30 }, () => budget.take(1, 100));
    expect(answers.filter((answer) => answer === "take")).toHaveLength(10);
    expect(answers.filter((answer) => answer === "drop")).toHaveLength(10);
    expect(answers.at(-1)).toBe("drop_and_pause");
    expect(budget.pauseMs(400)).toBe(600);
  });
  it("follows a changed plan", () => {
    const budget = new FeedBudget(rates, 0);
    budget.setRates({ messagesPerSecond: 0, bytesPerSecond: 0 });
    expect(budget.take(1, 10)).not.toBe("take");
  });
});

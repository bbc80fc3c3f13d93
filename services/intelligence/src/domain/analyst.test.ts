import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { analyse } from "./analyst.ts";
import { type NumericField, windowStats } from "./field-stats.ts";
import type { WindowEntry } from "./material.ts";

const TS = Date.parse("2026-01-30T15:45:30.000Z");
/** Oldest first, one a second; the window is newest first. */
const windowOf = (...messages: unknown[]): WindowEntry[] =>
  messages.map((message, at) => ({ ts: TS + at * 1_000, json: typeof message === "string" ? message : JSON.stringify(message) })).reverse();
const say = (entries: WindowEntry[], question = "Provide a brief analysis"): string =>
  analyse({ feedName: "Coinbase", topic: "BTC-USD", question, entries }).join(" ");

const TICKS = ["100.00", "101.00", "99.50", "102.00"].map((price, at) => ({
  type: "ticker",
  sequence: 1_000_000 + at,
  time: `2026-01-30T15:45:3${at}Z`,
  price,
  side: at % 2 === 0 ? "buy" : "sell",
}));

it("says who it is, how much it saw, what moved and what is frequent", () => {
  expect(say(windowOf(...TICKS))).toBe(
    "Builtin analysis of Coinbase, topic BTC-USD (statistics, no language model). " +
      "The window holds 4 messages over 3 s, 1 a second. The longest silence was 1 s. " +
      "price rose from 100.00 to 102.00 (+2 %) over 4 messages, with a low of 99.50, a high of 102.00 and a mean of 100.6; " +
      "it went up 2 times and down once. " +
      "The standard deviation of price is 0.9601, 0.9542 % of its mean. " +
      'side is "buy" in 2 of 4 messages (50 %); then "sell" 2.',
  );
});

it("gives the same words for the same window", () => {
  expect(say(windowOf(...TICKS))).toBe(say(windowOf(...TICKS)));
});

it("says so when there is nothing", () => {
  expect(say([])).toContain("There is no message in the window yet.");
  expect(say(windowOf("not json", "{"))).toContain("I found no numbers and no repeating categories in these messages.");
  expect(say(windowOf({ a: 1 }))).toContain("The window holds 1 message. a is 1 in the only message that has it.");
});

it("says that a value stayed", () => {
  expect(say(windowOf({ temp: 3 }, { temp: 3 }))).toContain("temp stayed at 3 in 2 messages.");
});

it("finds an outlier and when it was", () => {
  const values = [10, 11, 10, 12, 11, 500, 10, 11, 12, 10];
  expect(say(windowOf(...values.map((value) => ({ value }))))).toContain("An outlier of value is 500, 4 s before the newest message.");
});

it("leaves out checksums, whichever way they are written, but no large number that moves as measures do", () => {
  // From a recorded order book.
  const sums = [3824306052, 1118212344, 2228347788, 171084721, 3849502597, 3426370636, 338034770];
  const rows = sums.map((c, at) => ({ c: at % 2 === 0 ? c : String(c), volume: 2_100_000_000 + at * 7_000_000 * (at % 2 === 0 ? 1 : -1) }));
  const said = say(windowOf(...rows));
  expect(said).not.toContain("3824306052");
  expect(said).toContain("volume rose from 2100000000 to 2142000000");
});

it("leaves out counters, ids and times", () => {
  const names = windowStats(windowOf(...TICKS)).fields.map(({ name }) => name);
  expect(names).toEqual(["type", "price", "side"]);
});

it("reads arrays and nested members", () => {
  const names = windowStats(windowOf([1, { c: ["1.5", "2"] }, "trade"], [1, { c: ["1.6", "3"] }, "trade"])).fields.map(({ name }) => name);
  expect(names).toEqual(["[0]", "[1].c[0]", "[1].c[1]", "[2]"]);
});

it("finds the numbers of a window whose messages have different shapes", () => {
  const ticker = { type: "ticker", a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, price: "5" };
  const updates = Array.from({ length: 20 }, (_, at) => ({
    type: "l2update",
    changes:
      at % 5 === 0
        ? [
            ["buy", "1.0", "2"],
            ["sell", "1.1", "3"],
          ]
        : [["buy", "1.0", String(at)]],
  }));
  const text = say(windowOf(ticker, ...updates));
  expect(text).toContain("changes[0][2]");
  expect(text).not.toContain("I found no numbers");
});

describe("questions", () => {
  it.each([
    ["What is the price doing?", "price rose", "side is"],
    ["buy or sell? show the side", "side is", "price rose"],
    ["PRICES please", "price rose", "side is"],
  ])("%s is about that field", (question, there, absent) => {
    const text = say(windowOf(...TICKS), question);
    expect(text).toContain(there);
    expect(text).not.toContain(absent);
  });

  it("about anything else gets the summary", () => {
    expect(say(windowOf(...TICKS), "How are you?")).toContain("price rose");
  });

  it("across topics keeps the topics apart", () => {
    const entries = windowOf({ price: 1 }, { price: 100 }, { price: 2 }, { price: 90 }).map((entry, at) => ({
      ...entry,
      topic: at % 2 === 0 ? "ETH" : "BTC",
    }));
    const text = analyse({ feedName: "f", question: "Which topics?", entries }).join(" ");
    expect(text).toContain("The 4 messages are of 2 topics: ETH 2, BTC 2.");
    expect(text).toContain("In BTC, price rose from 1 to 2");
    expect(text).toContain("In ETH, price fell from 100 to 90");
  });
});

it("tells nothing but the truth about any numbers", () => {
  const decimals = fc.integer({ min: -1e6, max: 1e6 }).map((value) => (value / 100).toFixed(2));
  fc.assert(
    fc.property(fc.array(decimals, { minLength: 2, maxLength: 50 }), (texts) => {
      const [field] = windowStats(windowOf(...texts.map((level) => ({ level })))).fields as [NumericField];
      const values = texts.map(Number);
      expect(field.first.text).toBe(texts[0]);
      expect(field.last.text).toBe(texts.at(-1));
      expect(field.min.value).toBe(Math.min(...values));
      expect(field.max.value).toBe(Math.max(...values));
      expect(field.mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 6);
      expect(field.ups).toBe(values.filter((value, at) => at > 0 && value > (values[at - 1] ?? 0)).length);
      expect(field.downs).toBe(values.filter((value, at) => at > 0 && value < (values[at - 1] ?? 0)).length);
      for (const outlier of field.outliers)
        expect([field.min.value, field.max.value].some((end) => end === field.outliers[0]?.value)).toBe(outlier !== undefined);
    }),
  );
});

it("never breaks on what feeds send, and stays short", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }).map((json) => JSON.stringify(json)),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 20 }), fc.string({ unit: "binary" }), (messages, question) => {
      const text = say(windowOf(...messages), question);
      expect(text.startsWith("Builtin analysis")).toBe(true);
      expect(text).not.toMatch(/\n|NaN|undefined|Infinity/);
      expect(text.length).toBeLessThan(8_000);
    }),
    { numRuns: 300 },
  );
});

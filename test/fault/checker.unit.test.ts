/** The checker itself: each kind of damage, planted by hand, is found. */
import { expect, it } from "vitest";
import { CLEAN, judge, longestFreezeMs, readFacts, recoveryMs, summary } from "./support/checker.ts";

const ledger = ["S r.0.a 100", "S r.1.b 100", "A r.0.a 200", "A r.1.b 200", "S r.2.a 300", "A r.2.a 400", ""].join("\n");
const clean = ["E 0 r.0.a 1 1000", "E 0 r.1.b 2 1000", "E 0 r.2.a 3 5000", ""].join("\n");
const check = (record: string): unknown => summary(judge(readFacts(ledger, record), 1));

it("passes a clean run", () => expect(check(clean)).toEqual(CLEAN));
it("finds a lost event", () => expect(check("E 0 r.0.a 1 1000\nE 0 r.2.a 2 1\n")).toEqual({ ...CLEAN, lost: ["client 0: r.1.b"] }));
it("finds a client that got nothing", () =>
  expect(check("")).toEqual({ ...CLEAN, lost: ["client 0: r.0.a", "client 0: r.1.b", "client 0: r.2.a"] }));
it("finds a repeated event", () => expect(check(`${clean}E 0 r.1.b 4 9\n`)).toEqual({ ...CLEAN, duplicated: ["client 0: r.1.b"] }));
it("finds a visitor's events in the wrong order", () =>
  expect(check("E 0 r.2.a 1 1\nE 0 r.1.b 2 1\nE 0 r.0.a 3 1\n")).toEqual({ ...CLEAN, reordered: ["client 0: r.0.a"] }));
it("finds an event nobody sent", () => expect(check(`${clean}E 0 r.9.c 4 9\n`)).toEqual({ ...CLEAN, phantom: ["client 0: r.9.c"] }));
it("reports gaps and jumps of the feed's counter", () =>
  expect(check('E 0 r.0.a 1 1\nG 0 {"type":"gap"}\nE 0 r.1.b 2 1\nE 0 r.2.a 4 1\n')).toEqual({
    ...CLEAN,
    gaps: ['client 0: {"type":"gap"}'],
    counterBreaks: ["client 0: 2 → 4 at r.2.a"],
  }));
it("counts an event without an answer as unknown", () =>
  expect(summary(judge(readFacts("S r.0.a 1\n", "E 0 r.0.a 1 1\n"), 1))).toEqual({ ...CLEAN, unknown: 1 }));
it("measures recovery from the fault to the first event sent after it", () => {
  const facts = readFacts(ledger, clean);
  expect(recoveryMs(facts, 250)).toBe(4.75);
  expect(recoveryMs(facts, 350)).toBeUndefined();
  expect(longestFreezeMs(facts, 0, 250)).toBe(0.8);
});

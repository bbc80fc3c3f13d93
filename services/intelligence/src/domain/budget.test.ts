import type { TokenUsage } from "@headwater/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Budget, type Reservation } from "./budget.ts";

const usage = (over: Partial<TokenUsage> = {}): TokenUsage => ({
  currentMonth: "2026-01",
  tokensUsed: 0,
  limit: 1_000,
  lastResetDate: "2026-01-01T00:00:00Z",
  overdraftAllowed: false,
  ...over,
});
const budgetWith = (hardLimit?: number): Budget => new Budget({ hardLimit });

it("refuses when the quota is used, but not with overdraft (W19)", () => {
  const budget = budgetWith();
  expect(budget.reserve("t", usage({ tokensUsed: 1_000 }), 10)).toBeUndefined();
  expect(budget.reserve("t", usage({ tokensUsed: 999 }), 10)).toBeDefined();
  expect(budget.reserve("u", usage({ tokensUsed: 5_000, overdraftAllowed: true }), 10)).toBeDefined();
});

it("ends overdraft at the hard limit, when there is one", () => {
  const budget = budgetWith(2);
  expect(budget.hasTokens("t", usage({ tokensUsed: 1_999, overdraftAllowed: true }))).toBe(true);
  expect(budget.hasTokens("t", usage({ tokensUsed: 2_000, overdraftAllowed: true }))).toBe(false);
});

it("counts what open calls may still use, of the same tenant, until they settle", () => {
  const budget = budgetWith();
  const first = budget.reserve("t", usage(), 1_000);
  expect(budget.reserve("t", usage(), 1)).toBeUndefined();
  expect(budget.reserve("other", usage(), 1)).toBeDefined();
  if (first) for (const _ of [1, 2]) budget.settle(first);
  expect(budget.reserve("t", usage(), 1_000)).toBeDefined();
  expect(budget.reserve("t", usage(), 1)).toBeUndefined();
});

it("without overdraft, spends at most the quota and what the last call was over", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 400 }), isEnding: fc.boolean() }), { maxLength: 60 }), (calls) => {
      const budget = budgetWith();
      const open: Reservation[] = [];
      let used = 0;
      for (const { tokens, isEnding } of calls) {
        const ending = isEnding ? open.shift() : undefined;
        if (ending) {
          budget.settle(ending);
          used += ending.tokens;
        }
        const reservation = budget.reserve("t", usage({ tokensUsed: used }), tokens);
        if (reservation) open.push(reservation);
      }
      expect(used).toBeLessThan(1_000 + 400);
    }),
  );
});

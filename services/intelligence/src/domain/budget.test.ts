import type { TokenUsage } from "@headwater/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Budget, BUDGET_OPTIONS, type Reservation } from "./budget.ts";

const usage = (over: Partial<TokenUsage> = {}): TokenUsage => ({
  currentMonth: "2026-01",
  tokensUsed: 0,
  limit: 1_000,
  lastResetDate: "2026-01-01T00:00:00Z",
  overdraftAllowed: false,
  ...over,
});
const QUOTA = { ok: false, status: 429, message: "token quota exceeded" };
const BUSY = { ok: false, status: 429, message: "too many concurrent queries" };

it("refuses when the quota is used, but not with overdraft", () => {
  const budget = new Budget();
  expect(budget.reserve("t", usage({ tokensUsed: 1_000 }), 10, 0)).toEqual(QUOTA);
  expect(budget.reserve("t", usage({ tokensUsed: 999 }), 10, 0).ok).toBe(true);
  expect(budget.reserve("u", usage({ tokensUsed: 5_000, overdraftAllowed: true }), 10, 0).ok).toBe(true);
});

it("ends overdraft at the hard limit, when there is one", () => {
  const budget = new Budget({ ...BUDGET_OPTIONS, hardLimit: 2 });
  expect(budget.reserve("t", usage({ tokensUsed: 1_999, overdraftAllowed: true }), 10, 0).ok).toBe(true);
  expect(budget.reserve("u", usage({ tokensUsed: 2_000, overdraftAllowed: true }), 10, 0)).toEqual(QUOTA);
});

it("counts what open calls may still use, until they settle", () => {
  const budget = new Budget();
  const first = budget.reserve("t", usage(), 1_000, 0);
  expect(budget.reserve("t", usage(), 1, 0)).toEqual(QUOTA);
  if (first.ok) {
    budget.settle(first.reservation);
    budget.settle(first.reservation);
  }
  expect(budget.reserve("t", usage(), 1_000, 0).ok).toBe(true);
  expect(budget.reserve("t", usage(), 1, 0)).toEqual(QUOTA);
});

it("lets a free provider answer without tokens", () => {
  expect(new Budget().reserve("t", usage({ tokensUsed: 5_000 }), 0, 0).ok).toBe(true);
});

it("limits calls at once, per tenant", () => {
  const budget = new Budget();
  const open = Array.from({ length: 4 }, () => budget.reserve("t", usage(), 1, 0));
  expect(open.every(({ ok }) => ok)).toBe(true);
  expect(budget.reserve("t", usage(), 1, 0)).toEqual(BUSY);
  expect(budget.reserve("other", usage(), 1, 0).ok).toBe(true);
  if (open[0]?.ok) budget.settle(open[0].reservation);
  expect(budget.reserve("t", usage(), 1, 0).ok).toBe(true);
});

it("limits calls a minute, and says when the next one may come", () => {
  const budget = new Budget({ ...BUDGET_OPTIONS, perMinute: 60, burst: 2 });
  const call = (now: number) => {
    const decision = budget.reserve("t", usage(), 1, now);
    if (decision.ok) budget.settle(decision.reservation);
    return decision;
  };
  expect([call(0).ok, call(0).ok]).toEqual([true, true]);
  expect(call(250)).toEqual({ ok: false, status: 429, message: "Rate limit exceeded. Please try again later.", retryAfterMs: 750 });
  expect(call(1_000).ok).toBe(true);
});

it("forgets idle tenants only", () => {
  const budget = new Budget();
  const busy = budget.reserve("busy", usage(), 1, 0);
  budget.reserve("idle", usage({ tokensUsed: 9_999 }), 1, 0);
  expect(budget.sweep(0)).toBe(1);
  if (busy.ok) budget.settle(busy.reservation);
  expect(budget.sweep(100)).toBe(1);
  expect(budget.sweep(60_000)).toBe(0);
});

it("never lets more start than the limits allow", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.nat(400), fc.boolean()), { maxLength: 60 }), (steps) => {
      const budget = new Budget();
      const open: Reservation[] = [];
      for (const [tenantId, tokens, settles] of steps) {
        const before = open.filter((reservation) => reservation.tenantId === tenantId);
        const reserved = before.reduce((sum, reservation) => sum + reservation.tokens, 0);
        const decision = budget.reserve(tenantId, usage(), tokens, 0);
        if (decision.ok) {
          expect(before.length).toBeLessThan(4);
          if (tokens > 0) expect(reserved).toBeLessThan(1_000);
          open.push(decision.reservation);
        }
        const first = open[0];
        if (settles && first !== undefined) {
          budget.settle(first);
          open.shift();
        }
      }
    }),
  );
});

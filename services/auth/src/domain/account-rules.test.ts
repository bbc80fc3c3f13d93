import { PLAN_LIMITS } from "@headwater/protocol";
import { expect, it } from "vitest";
import { isEmail, isPasswordAllowed, monthOf, normalEmail, scopesOutsidePlan, tokenUsageOf } from "./account-rules.ts";

it.each([
  ["dev@example.com", true],
  ["d.e+v@sub.example.co", true],
  ["ü@exämple.de", true],
  ["dev@localhost", false],
  ["dev", false],
  ["@example.com", false],
  ["dev@", false],
  ["a@b@example.com", false],
  ["dev @example.com", false],
  ["dev@example..com", false],
  ["dev@example.com.", false],
  ["dev\u0000@example.com", false],
  ["dev\u202e@example.com", false],
  [`${"a".repeat(65)}@example.com`, false],
  ["", false],
])("e-mail %j: %s", (email, ok) => expect(isEmail(email)).toBe(ok));

it("compares e-mails without blanks around and in lower case", () => expect(normalEmail("  Dev@Example.COM\n")).toBe("dev@example.com"));

it.each([
  ["1234567", false],
  ["12345678", true],
  ["ääää", true],
  ["äää1", false],
  ["x".repeat(1_024), true],
  ["x".repeat(1_025), false],
])("password of %j characters counts in bytes", (password, ok) => expect(isPasswordAllowed(password)).toBe(ok));

it("begins a month with the calendar or with the account", () => {
  const nowMs = Date.parse("2026-03-05T00:00:00Z");
  const facts = { nowMs, tokensUsed: 3, limit: 10, overdraftAllowed: true };
  expect(tokenUsageOf({ ...facts, createdAt: "2026-01-31T23:59:59.999Z" })).toEqual({
    currentMonth: "2026-03",
    tokensUsed: 3,
    limit: 10,
    lastResetDate: "2026-03-01T00:00:00.000Z",
    overdraftAllowed: true,
  });
  expect(tokenUsageOf({ ...facts, createdAt: "2026-03-04T10:00:00.000Z" }).lastResetDate).toBe("2026-03-04T10:00:00.000Z");
  expect(monthOf(Date.parse("2026-12-31T23:59:59.999Z"))).toBe("2026-12");
});

it("knows which scopes a plan has no use for", () => {
  const scopes = ["events:write", "signals:read", "signals:write", "live:read", "websocket:*"] as const;
  expect(scopesOutsidePlan(scopes, PLAN_LIMITS.free)).toEqual(["signals:read", "signals:write", "live:read"]);
  expect(scopesOutsidePlan(scopes, PLAN_LIMITS.builder)).toEqual(["signals:write", "live:read"]);
  expect(scopesOutsidePlan(scopes, { ...PLAN_LIMITS.free, feedRead: true, feedWrite: true })).toEqual([]);
});

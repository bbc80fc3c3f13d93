import { expect, it } from "vitest";
import { CreateKey, hintOf, PutSite, SetPlan, Slug } from "./commands.ts";

const minimal = { tenant: "acme", scopes: ["signals:read"] };

it("fills in what is not said", () => {
  expect(CreateKey.parse(minimal)).toEqual({ ...minimal, type: "browser", domains: [] });
});

it.each(["cs_live", "cs_live_"])("takes prefix %s", (prefix) => expect(CreateKey.parse({ ...minimal, prefix }).prefix).toBe("cs_live_"));

it.each([
  ["an unknown prefix", { ...minimal, prefix: "sk_live" }],
  ["no scope", { ...minimal, scopes: [] }],
  ["an unknown scope", { ...minimal, scopes: ["root"] }],
  ["an unknown member", { ...minimal, tenantId: "x" }],
  ["a domain with a path", { ...minimal, domains: ["example.com/x"] }],
  ["a wildcard in the middle", { ...minimal, domains: ["a.*.example.com"] }],
  ["a name that moves the cursor", { ...minimal, name: "a\u001b[2J" }],
  ["a name with NUL", { ...minimal, name: "a\u0000" }],
  ["a lone surrogate", { ...minimal, name: "a\ud800" }],
  ["a time before time", { ...minimal, expiresAt: "0000-01-01T00:00:00Z" }],
  ["a date that is none", { ...minimal, expiresAt: "tomorrow" }],
])("refuses %s", (_name, command) => expect(CreateKey.safeParse(command).success).toBe(false));

it.each([
  ["acme", true],
  ["a-1", true],
  ["-a", false],
  ["Acme", false],
  ["a.b", false],
  ["", false],
  ["x".repeat(49), false],
])("slug %s: %s", (slug, ok) => expect(Slug.safeParse(slug).success).toBe(ok));

it("lets an operator override limits and settings, and nothing else", () => {
  expect(SetPlan.safeParse({ plan: "scale", limits: { feedConnections: 50 } }).success).toBe(true);
  expect(SetPlan.safeParse({ plan: "scale", limits: { everything: 1 } }).success).toBe(false);
  expect(PutSite.parse({ settings: {} }).settings?.preset).toBe("standard");
  expect(PutSite.safeParse({ settings: { preset: "lenient" } }).success).toBe(false);
});

it("hints at a key without giving it away", () => expect(hintOf("cs_live_abcdefgh", "cs_live_")).toBe("cs_live_abcd…"));

it.each([
  ["\u0000", false],
  ["\ud800", false],
  ["\\u0000", true],
  ["ü 🎉", true],
])("settings text %j can be stored: %s", (text, ok) => expect(PutSite.safeParse({ settings: { aliases: { a: text } } }).success).toBe(ok));

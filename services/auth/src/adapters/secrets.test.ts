import { KEY_FORMATS, keyPrefixOf } from "@headwater/protocol";
import { expect, it } from "vitest";
import { digestOf, lookupOf, maskOf, newBackupCode, newId, newKey, sameSecret } from "./secrets.ts";

it.each(KEY_FORMATS.map((format) => format.prefix))("makes well-formed keys with %s, all different", (prefix) => {
  const made = Array.from({ length: 50 }, () => newKey(prefix));
  expect(new Set(made).size).toBe(50);
  for (const key of made) expect(keyPrefixOf(key)).toBe(prefix);
});

it("looks a key up only with the right pepper", () => {
  const digest = digestOf("cs_live_x");
  expect(lookupOf("pepper", digest)).toMatch(/^[0-9a-f]{64}$/);
  expect(lookupOf("pepper", digest)).not.toBe(lookupOf("other", digest));
  expect(lookupOf("pepper", digest)).not.toContain(digest);
});

it("compares secrets of any length", () => {
  expect(sameSecret("a", "a")).toBe(true);
  expect(sameSecret("a", "ab")).toBe(false);
  expect(sameSecret("", "a")).toBe(false);
});

it("makes ids that fit a subject", () => expect(newId("key")).toMatch(/^key_[A-Za-z0-9]{20}$/));

it("draws every character of a key equally often (W41)", () => {
  const counts = new Map<string, number>();
  const keys = 2_000;
  for (let i = 0; i < keys; i++) {
    for (const char of newKey("ts_live_").slice(8, 40)) counts.set(char, (counts.get(char) ?? 0) + 1);
  }
  const expected = (keys * 32) / 62;
  // 61 degrees of freedom: above 120 once in a hundred thousand runs; the bias of a byte modulo 62 gives thousands.
  const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(counts.size).toBe(62);
  expect(chiSquared).toBeLessThan(130);
});

it("masks what may be guessed by purpose and pepper", () => {
  const masks = [maskOf("p1", "login", "a"), maskOf("p2", "login", "a"), maskOf("p1", "step-up", "a"), maskOf("p1", "login", "b")];
  expect(new Set(masks).size).toBe(4);
  expect(maskOf("p1", "login", "a")).toBe(masks[0]);
});

it("makes backup codes of eight unmistakable characters", () => expect(newBackupCode()).toMatch(/^[A-HJ-NP-Z2-9]{8}$/));

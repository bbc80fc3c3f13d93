import { KEY_FORMATS, keyPrefixOf } from "@headwater/protocol";
import { expect, it } from "vitest";
import { digestOf, lookupOf, newId, newKey, sameSecret } from "./secrets.ts";

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

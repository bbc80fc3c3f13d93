import { describe, expect, it } from "vitest";
import vectors from "../vectors/keys.json" with { type: "json" };
import { formatKey, KEY_ALPHABET, KEY_FORMATS, KEY_RANDOM_LENGTH, type KeyPrefix, keyPrefixOf } from "./keys.ts";

function prefix(text: string): KeyPrefix {
  const format = KEY_FORMATS.find((f) => f.prefix === text);
  if (!format) throw new Error(`the vectors name an unknown prefix: ${text}`);
  return format.prefix;
}

describe("API keys", () => {
  it.each(vectors.valid)("writes $key", (v) => expect(formatKey(prefix(v.prefix), v.random)).toBe(v.key));
  it.each(vectors.valid)("reads $key", (v) => expect(keyPrefixOf(v.key)).toBe(v.prefix));
  it.each(vectors.malformed)("refuses: $why", ({ key }) => expect(keyPrefixOf(key)).toBeUndefined());
  it.each(vectors.unformattable)("does not make a key of %j", (random) => {
    expect(() => formatKey("cs_live_", random)).toThrow(RangeError);
  });
  it("has vectors for every prefix", () => {
    expect(new Set(vectors.valid.map((v) => v.prefix))).toEqual(new Set(KEY_FORMATS.map((f) => f.prefix)));
  });
  it("catches every single mistyped character of a checked key", () => {
    const key = formatKey("hw_live_", "abcdefghijklmnopqrstuvwxyz012345");
    const start = "hw_live_".length;
    for (let at = start; at < start + KEY_RANDOM_LENGTH; at++) {
      for (const wrong of KEY_ALPHABET) {
        if (key[at] === wrong) continue;
        expect(keyPrefixOf(key.slice(0, at) + wrong + key.slice(at + 1))).toBeUndefined();
      }
    }
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeTopicToken } from "./topic-token.ts";

describe("topic tokens", () => {
  it.each([
    ["BTC-USD", "BTC-USD"],
    ["XBT/USD", "XBT%2FUSD"],
    ["BRK.B", "BRK%2EB"],
    ["東京", "%E6%9D%B1%E4%BA%AC"],
    ["a *>%", "a%20%2A%3E%25"],
    ["", ""],
  ])("%s", (topic, token) => expect(encodeTopicToken(topic)).toBe(token));
  it("loses nothing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (topic) => {
        expect(decodeURIComponent(encodeTopicToken(topic))).toBe(topic);
      }),
    );
  });
});

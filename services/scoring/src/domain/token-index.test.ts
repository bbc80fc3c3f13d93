import { describe, expect, it } from "vitest";
import { createTokenIndex } from "./token-index.ts";

const index = createTokenIndex([
  { token: "bot", value: "short" },
  { token: "Googlebot", value: "long" },
  { token: "ZAP", at: "word", value: "word" },
  { token: "Java/", at: "start", value: "start" },
  { token: "same1", value: "first" },
  { token: "SAME1", value: "second" },
]);

describe("token index", () => {
  it.each([
    ["x GOOGLEBOT y", "long"],
    ["xbotx", "short"],
    ["(zap)", "word"],
    ["zap", "word"],
    ["zapper zap", "word"],
    ["zapper", undefined],
    ["java/17", "start"],
    [" java/17", undefined],
    ["same1", "first"],
    ["", undefined],
    ["bo", undefined],
  ])("%j → %s", (text, expected) => expect(index.longestIn(text)).toBe(expected));

  it("refuses a token it could not file", () => {
    expect(() => createTokenIndex([{ token: "ab", value: 1 }])).toThrow("token too short");
  });
});

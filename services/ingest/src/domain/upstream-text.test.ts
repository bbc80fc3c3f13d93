/** Cutting values out of JSON text, and text into messages. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementsOf, parseDataPath, valueAt } from "./json-text.ts";
import { type Decoded, jsonLines, jsonOrText, MAX_MESSAGES_PER_FRAME, plainText } from "./upstream-message.ts";

const at = (json: string, path: string): string | undefined => valueAt(json, parseDataPath(path) ?? []);
const read = (how: (text: string, into: Decoded) => void, text: string): Decoded => {
  const into: Decoded = { messages: [], dropped: [] };
  how(text, into);
  return into;
};

describe("parseDataPath", () => {
  it.each([
    ["data", ["data"]],
    [" data.items[-2] ", ["data", "items", -2]],
    ["[0].s", [0, "s"]],
    ["a[1][0]", ["a", 1, 0]],
    ["a.[0]", ["a", 0]],
    ["$.x", ["$", "x"]],
    ["東京.x", ["東京", "x"]],
  ])("reads %j", (text, steps) => {
    expect(parseDataPath(text)).toEqual(steps);
  });
  it.each([
    "",
    "  ",
    ".a",
    "a.",
    "a..b",
    "a[",
    "a]",
    "a[]",
    "a[x]",
    "a[-0]",
    "a[01]",
    "a[+1]",
    "a[ 0 ]",
    "a]0[",
    "a[0]b",
    "[[0]]",
    "a[1234567890]",
    "a\u0000",
    "x".repeat(257),
    "a[0]".repeat(1) + ".a".repeat(16),
  ])("refuses %j", (text) => {
    expect(parseDataPath(text)).toBeUndefined();
  });
});

describe("valueAt", () => {
  it("keeps the source text", () => {
    const json = ' { "a" : [ 1.50 , 12345678901234567890 , {"b":"x,]}\\""} ] , "e\\u0031" : null , "a2":{} } ';
    expect(at(json, "a[0]")).toBe("1.50");
    expect(at(json, "a[-2]")).toBe("12345678901234567890");
    expect(at(json, "a[-1].b")).toBe('"x,]}\\""');
    expect(at(json, "e1")).toBe("null");
    expect(at(json, "a2")).toBe("{}");
  });
  it.each(["b", "a[3]", "a[-4]", "a[0].x", "a[2][0]", "e1.x", "constructor", "__proto__"])("finds nothing at %s", (path) => {
    expect(at('{"a":[1,2,{"b":1}],"e1":null}', path)).toBeUndefined();
  });
  it("takes the last of repeated members, like JSON.parse", () => {
    expect(at('{"a":1,"b":2,"a":{"c":3}}', "a.c")).toBe("3");
  });
  it("agrees with JSON.parse for any value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 1, 2), (value, space) => {
        const json = JSON.stringify({ list: [value, 1], other: "]" }, null, space);
        expect(JSON.parse(at(json, "list[0]") ?? "undefined")).toEqual(JSON.parse(JSON.stringify(value)));
        expect(elementsOf(at(json, "list") ?? "")?.length).toBe(2);
      }),
    );
  });
  it("needs no stack for depth", () => {
    const deep = "[".repeat(500_000) + "]".repeat(500_000);
    expect(at(`{"d":${deep},"x":1}`, "x")).toBe("1");
  });
});

describe("text → messages", () => {
  it("is JSON when it can be, and the text itself when not", () => {
    expect(read(jsonOrText, ' {"a":\n1} ')).toEqual({ messages: [{ kind: "json", text: '{"a": 1}' }], dropped: [] });
    expect(read(jsonOrText, "hello").messages).toEqual([{ kind: "text", text: "hello" }]);
    expect(read(jsonOrText, "12345678901234567890").messages).toEqual([{ kind: "json", text: "12345678901234567890" }]);
    expect(read(plainText, '{"a":1}').messages).toEqual([{ kind: "text", text: '{"a":1}' }]);
  });
  it.each(["", "  \n", "null", " null "])("drops %j (W1)", (text) => {
    expect(read(jsonOrText, text)).toEqual({ messages: [], dropped: ["empty"] });
  });
  it("splits lines, bounded in number", () => {
    expect(read(jsonLines, '{"a":1}\r\n\nnull\nx\n')).toEqual({
      messages: [
        { kind: "json", text: '{"a":1}' },
        { kind: "text", text: "x" },
      ],
      dropped: ["empty"],
    });
    const many = read(jsonLines, "1\n".repeat(MAX_MESSAGES_PER_FRAME + 5));
    expect([many.messages.length, many.dropped]).toEqual([MAX_MESSAGES_PER_FRAME, ["size"]]);
  });
});

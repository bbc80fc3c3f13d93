/** What is JSON: the same texts that JSON.parse takes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JsonText, readJsonText } from "./json-text.ts";

function parsed(text: string): JsonText | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return { elements: Array.isArray(value) ? value.length : undefined };
  } catch {
    return undefined;
  }
}

/** Whole tokens and pieces of them, so that most mistakes and most valid texts are near. */
const PIECES = [
  ...'[]{},:"\\ \t\n\r\f-+.eE019aux/bn',
  "\u0000",
  "\u001f",
  "\u007f",
  "\u00a0",
  "\u2028",
  "\ufeff",
  "\ud800",
  "é",
  "😀",
  "true",
  "false",
  "null",
  "NaN",
  "Infinity",
  '"a"',
  '""',
  '"a":',
  '"\\u00e9"',
  "\\u12",
  "-0",
  "1.5e+3",
  "01",
  "1.",
  ".5",
  "[1,2]",
  '{"b":[]}',
  "//",
  "'",
];

describe("JSON text", () => {
  it.each([
    ...["0", "-0", "-", "01", "1.", ".1", "1e", "1e+", "1E-07", "-1.5e3", "1 2", "+1", "0x1", "1_0", "--1", "1e5.5", "00", "-01"],
    ...['"', '"a', '"\t"', '"\\"', '"\\x"', '"\\u12g4"', '"\\u12', '"\\u0041"', '"\u007f\u2028"', '"a" "b"', "'a'", '"\\/\\b"'],
    ...["[", "]", "[]", "[,]", "[1,]", "[1 2]", "[[],{}]", "[1,[2,3],4]", "[]]", "[}", " [ 1 , 2 ] "],
    ...["{", "}", "{}", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', "{a:1}", '{"a":1,"a":2}', '{"a":1}}', '{"a":1]', "{1:1}", "{,}"],
    ...["", " ", "nul", "nulll", "True", "true false", "tru", "undefined", "\ufeff1", "1\u00a0", "\u000b1", "1\u0000", "/**/1", "1//"],
  ])("%j is what JSON.parse says", (text) => {
    expect(readJsonText(text)).toEqual(parsed(text));
  });

  it("is every text of JSON.stringify, and none with a character changed that JSON.parse refuses", () => {
    const place = fc.nat();
    const space = fc.constantFrom(undefined, 1, "\t");
    fc.assert(
      fc.property(fc.jsonValue(), space, place, fc.constantFrom(...PIECES), fc.nat(2), (value, indent, at, piece, cut) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(readJsonText(text)).toEqual(parsed(text));
        const from = at % (text.length + 1);
        const changed = text.slice(0, from) + piece + text.slice(from + cut);
        expect(readJsonText(changed)).toEqual(parsed(changed));
      }),
      { numRuns: 2_000 },
    );
  });

  it("is what JSON.parse says of any sequence of pieces", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }), (pieces) => {
        const text = pieces.join("");
        expect(readJsonText(text)).toEqual(parsed(text));
      }),
      { numRuns: 5_000 },
    );
  });

  it("may be nested as deep as it likes", () => {
    const depth = 200_000;
    const deep = "[".repeat(depth) + "]".repeat(depth);
    expect(readJsonText(deep)).toEqual({ elements: 1 });
    expect(readJsonText(deep.slice(1))).toBeUndefined();
    expect(readJsonText(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`)).toEqual({ elements: undefined });
  });
});

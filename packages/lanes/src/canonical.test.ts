import { expect, it } from "vitest";
import { canonicalJson, hashState } from "./canonical.ts";

it.each([
  [{ b: 1, a: [2, { d: null, c: "x" }] }, '{"a":[2,{"c":"x","d":null}],"b":1}'],
  [{ a: undefined, b: [undefined] }, '{"b":[null]}'],
  ["ü\n", '"ü\\n"'],
  [-0, "0"],
])("writes %j with sorted keys", (value, text) => {
  expect(canonicalJson(value)).toBe(text);
});

it("hashes a state whatever the order of its keys, and any difference", () => {
  const a = hashState([
    ["x", "1"],
    ["y", "2"],
  ]);
  expect(
    hashState([
      ["y", "2"],
      ["x", "1"],
    ]),
  ).toBe(a);
  expect(hashState([["x", "1"]])).not.toBe(a);
  expect(
    hashState([
      ["x", "2"],
      ["y", "1"],
    ]),
  ).not.toBe(a);
});

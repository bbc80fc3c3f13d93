import fc from "fast-check";
import { expect, it } from "vitest";
import { toConnectionMessages } from "./connection-messages.ts";

it.each([
  ["an object", ' { "a" : 1 } ', ['{"a":1}']],
  ["an object over lines", '{\n  "a": "x \\" y",\r\n\t"b": [1, 2]\n}', ['{"a":"x \\" y","b":[1,2]}']],
  ["spaces inside of strings", '{"a": "  two  words\\n "}', ['{"a":"  two  words\\n "}']],
  ["digits beyond a double", "[12345678901234567890, 1.50]", ["[12345678901234567890,1.50]"]],
  ["a value per line", '{"a":1}\n\n {"b": 2}\n"ping"', ['{"a":1}', '{"b":2}', '"ping"']],
  ["values over several lines", '{\n"a":1\n}\n{"b":\n2}', ['{"a":1}', '{"b":2}']],
  ["plain text", "  SUBSCRIBE all  ", ["SUBSCRIBE all"]],
  ["lines of plain text", "CONNECT\nheader: x", ["CONNECT\nheader: x"]],
  ["JSON and something else", '{"a":1}\n// comment', ['{"a":1}\n// comment']],
  ["values side by side", '{"a":1} {"b":2}', ['{"a":1} {"b":2}']],
  ["brackets that never open", "]]\n}}", ["]]\n}}"]],
])("%s", (_name, input, messages) => {
  expect(toConnectionMessages(input)).toEqual(messages);
});

it("means the same JSON as what was pasted, and is stable", () => {
  fc.assert(
    fc.property(fc.array(fc.json(), { minLength: 1, maxLength: 4 }), fc.constantFrom(0, 2), (texts, indent) => {
      const values = texts.map((text) => JSON.parse(text) as unknown);
      const messages = toConnectionMessages(values.map((value) => JSON.stringify(value, null, indent)).join("\n"));
      expect(messages.map((message) => JSON.parse(message) as unknown)).toEqual(values);
      expect(messages.flatMap(toConnectionMessages)).toEqual(messages);
    }),
  );
});

it("has something for any text, however long", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
      expect(toConnectionMessages(text).length).toBeGreaterThan(0);
    }),
  );
  const long = JSON.stringify({ a: `\\"${"x ".repeat(500_000)}` });
  expect(toConnectionMessages(` ${long} `)).toEqual([long]);
});

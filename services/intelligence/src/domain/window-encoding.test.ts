import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeWindow } from "../testing/decode-window.ts";
import type { WindowEntry } from "./material.ts";
import { parseSource, writeSource } from "./source-json.ts";
import { encodeWindow } from "./window-encoding.ts";

const TS = Date.parse("2026-01-30T15:45:30.123Z");
const entriesOf = (...texts: string[]): WindowEntry[] => texts.map((json, at) => ({ ts: TS - at * 250, json }));

/** Same value, same number texts; the order of members does not count. */
function canonical(json: string): string {
  const sort = (value: ReturnType<typeof parseSource>): ReturnType<typeof parseSource> => {
    if (Array.isArray(value)) return value.map(sort);
    if (value instanceof Map) return new Map([...value].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, member]) => [key, sort(member)]));
    return value;
  };
  return writeSource(sort(parseSource(json)));
}
const comparable = (entries: readonly WindowEntry[]): unknown[] => entries.map((entry) => ({ ...entry, json: canonical(entry.json) }));
const expectLossless = (entries: readonly WindowEntry[]): void =>
  expect(comparable(decodeWindow(encodeWindow(entries)))).toEqual(comparable(entries));

describe("encodeWindow", () => {
  it("writes keys and constant values once, repeats as =, numbers as they came", () => {
    const text = encodeWindow(
      entriesOf(
        '{"type":"ticker","price":"101.50","seq":18446744073709551615,"at":"2026-01-30T15:45:30.1Z","ok":true}',
        '{"type":"ticker","price":"101.50","seq":18446744073709551611,"at":"2026-01-30T15:45:29.9Z","ok":true}',
        '{"type":"ticker","price":"99.00","seq":18446744073709551610,"at":"2026-01-30T15:45:29.8Z"}',
      ),
    );
    expect(text.split("\n")).toEqual([
      "base 2026-01-30T15:45:30.123Z",
      "rows 3",
      'same type="ticker"',
      "@t|price'|seq+|at'2026-01-30T15:45:*Z|ok",
      "0|101.50|18446744073709551615|30.1|true",
      "-250|=|-4|29.9|=",
      "-500|99.00|-1|29.8|",
    ]);
  });

  it("makes one table per kind of message and keeps their order", () => {
    const entries = entriesOf('{"trade":{"price":1,"size":2}}', '{"event":"heartbeat"}', '{"trade":{"price":3,"size":4}}');
    const text = encodeWindow(entries);
    expect(text).toContain("#|@t|trade.price|trade.size\n0|0|1|2\n2|-500|3|4");
    expectLossless(entries);
  });

  it("is empty for no messages", () => {
    expect(encodeWindow([])).toBe("");
  });

  it.each([
    ["delimiters in strings", ['{"a":"x|y"}', '{"a":"\\\\|="}', '{"a":"="}', '{"a":"line\\nbreak"}']],
    ["null, empty and absent", ['{"a":null}', '{"a":""}', "{}", '{"a":"\\\\e"}', '{"a":"\\\\0"}']],
    ["numbers beyond 2^53 and with trailing zeros", ['{"a":9007199254740993,"b":1.50}', '{"a":-0,"b":1e400}', '{"a":0.0,"b":1E+2}']],
    ["strings that look like numbers", ['{"a":"1"}', '{"a":1}', '{"a":"1.0"}']],
    ["integer strings with steps", ['{"a":"1000003"}', '{"a":"1000002"}', '{"a":"1000000"}', '{"a":"1000000"}']],
    ["integers with leading zeros in strings", ['{"a":"0000003"}', '{"a":"0000002"}', '{"a":"0000001"}']],
    ["an object here, a scalar there", ['{"a":{"b":1}}', '{"a":2}', '{"a":{}}', '{"a":[]}']],
    ["tuples and lists", ["[1,[2,3]]", "[1,[4,5]]", '[1,["a",null]]']],
    ["lists of different lengths", ['{"a":[1]}', '{"a":[1,2]}', '{"a":[]}']],
    ["scalars alone", ["1", '"a"', "null", "true"]],
    ["hostile keys", ['{"__proto__":{"x":1},"a.b":2,"":3,"*":4,"|=":5,"#":6,"@t":7}', '{"__proto__":1,"[0]":2,"a\'":3,"a+":4}']],
    ["text around a template", ['{"a":"x/*/y"}', '{"a":"x/*/z"}', '{"a":"x/*/"}', '{"a":"x/*/w"}']],
    ["control characters and lone surrogates", ['{"a":"\\u0000\\u2028\\u0085"}', '{"a":"\\ud83d"}', '{"a":"😀"}']],
    ["prefix and suffix that overlap", ['{"a":"--ab--"}', '{"a":"----"}', '{"a":"-----"}']],
    ["times", ['{"a":"2026-01-01T10:00:01Z"}', '{"a":"2026-01-01T10:00:02Z"}', '{"a":"2026-01-01T10:00:02Z"}']],
    [
      "lists of objects",
      ['{"a":[{"p":1,"q":"x|y"},{"q":null,"p":2.50}]}', '{"a":[{"p":1},{"q":2}]}', '{"a":[{"b":[{"c":1},{"c":2}]},{"b":[]}]}'],
    ],
    [
      "names of ours in lists of objects",
      ['{"a":[{"@cols":1},{"@cols":2}]}', '{"a":[{"@rows":1},{"@rows":2}]}', '{"a":[[{"p":1},{"p":2}]]}'],
    ],
    ["deep nesting", [`${'{"a":'.repeat(30)}1${"}".repeat(30)}`, `${'{"a":'.repeat(12)}2${"}".repeat(12)}`]],
  ])("loses nothing: %s", (_, texts) => {
    expectLossless(entriesOf(...texts));
  });

  it("loses nothing: any JSON, any topics", () => {
    const scalar = fc.oneof(
      fc.jsonValue({ maxDepth: 3, stringUnit: "binary" }).map((value) => JSON.stringify(value)),
      fc.bigInt().map(String),
      fc.constantFrom(
        '[{"a":1},{"a":2}]',
        '[{"@cols":[],"@rows":[]},{"@cols":1,"@rows":2}]',
        "1.50",
        "1E5",
        "-0",
        "0.0",
        '"|"',
        '"="',
        '""',
        '"\\\\"',
        '"*"',
      ),
    );
    const key = fc.oneof(fc.constantFrom("a", "b", "price", "__proto__", "x.y"), fc.string({ maxLength: 4, unit: "binary" }));
    const object = fc
      .array(fc.tuple(key, scalar), { maxLength: 6 })
      .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`);
    const array = fc.array(fc.oneof(scalar, object), { maxLength: 4 }).map((items) => `[${items.join(",")}]`);
    const topic = fc.option(fc.string({ unit: "binary", minLength: 1 }), { nil: undefined });
    const entry = fc.tuple(fc.oneof({ weight: 4, arbitrary: object }, array, scalar), topic, fc.integer({ min: -1e6, max: 1e6 }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), (list) => {
        expectLossless(list.map(([json, topic, ms]) => ({ ts: TS + ms, json, ...(topic === undefined ? {} : { topic }) })));
      }),
      { numRuns: 500 },
    );
  });

  it("shows a message that is not JSON as raw text, and no message can add a line", () => {
    const hostile = '{"a":\n"rows 9\\nbase 1"} <- not JSON\nrows 1';
    const text = encodeWindow(entriesOf(hostile));
    expect(text.split("\n")).toHaveLength(4);
    expect(JSON.parse(decodeWindow(text)[0]?.json ?? "")).toEqual({ raw: hostile });
  });
});

describe("parseSource", () => {
  it.each(["", "{", '{"a":}', "[1,]", "01", "1 2", "nul", '"\n"', '{"a" 1}', "{a:1}", "[".repeat(300) + "]".repeat(300)])(
    "refuses %j",
    (text) => expect(() => parseSource(text)).toThrow(SyntaxError),
  );
});

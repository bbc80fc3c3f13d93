import fc from "fast-check";
import { describe, expect, it } from "vitest";
import vectors from "../vectors/topics.json" with { type: "json" };
import { evaluateTopicField, selectJson, topicOf } from "./evaluate.ts";
import { parseDataPath, parseTopicField, type PathStep, type TopicPath } from "./path.ts";
import { parseWithSource, referenceTopics, walk } from "./testing/reference.ts";

const path = (field: string): TopicPath => {
  const parsed = parseTopicField(field);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.path;
};
const topics = (field: string, json: string) =>
  evaluateTopicField(path(field), json).map((entry) => ("topic" in entry ? entry.topic : null));
const reason = (field: string, json: string) =>
  evaluateTopicField(path(field), json).map((entry) => ("reason" in entry ? entry.reason : null));

describe("vectors", () => {
  // W21: `1e+06`, `<nil>` and `map[…]` as topics, several indexes ignored, array frames unrouted.
  it.each(vectors)("$n: $topicField of $message", ({ message, topicField, topics: wanted, reason: why }) => {
    expect(topics(topicField, message)).toEqual(wanted);
    expect(referenceTopics(path(topicField).steps, message)).toEqual(wanted);
    if (why !== undefined) expect(reason(topicField, message)).toContain(why);
  });
  it("has all fifty", () => expect(new Set(vectors.map((vector) => vector.n)).size).toBe(50));
});

describe("entries", () => {
  it("hands on the source text of a whole message or of each element", () => {
    expect(evaluateTopicField(path("s"), ' { "s" : "A", "p":1.50} ')).toEqual([{ topic: "A", json: ' { "s" : "A", "p":1.50} ' }]);
    expect(evaluateTopicField(path("s"), '[ {"s":"A","p":1.50} , {"s":null}, 7,"x" ]')).toEqual([
      { topic: "A", json: '{"s":"A","p":1.50}' },
      { reason: "null", json: '{"s":null}' },
      { reason: "missing", json: "7" },
      { reason: "missing", json: '"x"' },
    ]);
    expect(evaluateTopicField(path("[0].s"), '[{"s":"A"}]')).toEqual([{ topic: "A", json: '[{"s":"A"}]' }]);
    expect(evaluateTopicField(path("s"), " [ ] ")).toEqual([]);
  });
  it("does not take a batch apart when the message as a whole is asked for", () =>
    expect(topicOf(path("s"), '[{"s":"A"}]')).toEqual({ reason: "missing" }));
});

describe("objects", () => {
  it.each([
    ["the last of repeated keys counts, as in JSON.parse", "s", '{"s":"A","s":"B"}', "B"],
    ["so does a shorter last one", "a.b", '{"a":{"b":1},"a":{"c":2}}', null],
    ["and one that is no object", "a.b", '{"a":{"b":1},"a":7}', null],
    ["keys may be written with escapes", "symbol", String.raw`{"\u0073ymbol":"A"}`, "A"],
    ["and repeated in another spelling", "s", String.raw`{"s":"A","\u0073":"B"}`, "B"],
    ["a name with a backslash is that key", "a\\nb", String.raw`{"a\\nb":"A","a\nb":"B"}`, "A"],
    ["a name with a quote is that key", 'a"b', String.raw`{"a\"b":"A"}`, "A"],
    ["a key is not its beginning", "s", '{"sy":"A","":"B"}', null],
    ["a value is not a key", "s", '{"x":"s","y":["s"],"z":{"s":"A"}}', null],
    ["__proto__ is a key like any other", "__proto__.x", '{"__proto__":{"x":"A"}}', "A"],
    ["and absent when it is not there", "__proto__", "{}", null],
    ["brackets and quotes in strings are text", "s", String.raw`{"x":"}]\"{[","s":"A"}`, "A"],
    ["white space is free", "a.b[0]", ' {\n"a"\t: { "b" : [ "A" ] } }\r\n', "A"],
    ["a key outside the BMP", "😀", '{"😀":"A"}', "A"],
    ["and by escapes", "😀", String.raw`{"\ud83d\ude00":"A"}`, "A"],
  ])("%s", (_name, field, json, wanted) => {
    expect(topics(field, json)).toEqual([wanted]);
    expect(referenceTopics(path(field).steps, json)).toEqual([wanted]);
  });
});

describe("values", () => {
  it.each([
    ["-0", "0"],
    ["-0.0", "0"],
    ["1e2", "100"],
    ["1e21", "1e+21"],
    ["0.1", "0.1"],
    ["1.0", "1"],
    ["9007199254740991", "9007199254740991"],
    ["9007199254740993", "9007199254740993"],
    ["-9007199254740993", "-9007199254740993"],
    ["1e400", null],
    ["9".repeat(256), "9".repeat(256)],
    ["9".repeat(257), null],
    ["9".repeat(400), null],
    [JSON.stringify("x".repeat(256)), "x".repeat(256)],
    [JSON.stringify("x".repeat(257)), null],
    [JSON.stringify("é".repeat(128)), "é".repeat(128)],
    [JSON.stringify("é".repeat(129)), null],
    [JSON.stringify("😀".repeat(64)), "😀".repeat(64)],
    [JSON.stringify("😀".repeat(65)), null],
    [String.raw`"\u00e9"`, "é"],
    [String.raw`"\ud83d"`, null],
    ['"\u007f"', null],
    ['"\u0085"', null],
    [String.raw`"a\nb"`, null],
    ['" "', " "],
  ])("%s", (value, wanted) => {
    expect(topics("v", `{"v":${value}}`)).toEqual([wanted]);
    expect(referenceTopics(["v"], `{"v":${value}}`)).toEqual([wanted]);
  });
});

// No name of one character: V8 of Node 24 reads an escaped one as `\` once it has seen that key behind the same members (docs/gotchas.md).
const key = fc.constantFrom("sy", "ab", "ba", "a b", "éé", "__proto__", "constructor", "\\n", 'a"b', "00", "");
const scalar = fc.oneof(
  fc.constantFrom("null", "true", "false", "0", "-0", "1.50", "12345678901234567890", "-7", "1e5", "1E-7", "1e999", '""', '"x"'),
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map(String)
    .filter((text) => /^[\d.e+-]+$/.test(text)),
);
const space = fc.constantFrom("", " ", "\n", "\t \r\n");
/** JSON source text with repeated keys, escaped keys and free white space. */
const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalar,
    fc
      .array(fc.tuple(fc.boolean(), key, space, tie("value")), { maxLength: 5 })
      .map(
        (members) =>
          `{${members.map(([escape, name, gap, value]) => `${gap}${literal(name, escape)}${gap}:${gap}${value}${gap}`).join(",")}}`,
      ),
    fc
      .array(fc.tuple(space, tie("value")), { maxLength: 4 })
      .map((values) => `[${values.map(([gap, value]) => gap + value + gap).join(",")}]`),
  ),
})).value;
const literal = (name: string, escape: boolean): string =>
  escape ? `"${[...name].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"` : JSON.stringify(name);
const steps = fc.array(
  fc.oneof(
    key.filter((name) => name !== ""),
    fc.constantFrom(0, 1, 2, -1),
  ),
  { minLength: 1, maxLength: 4 },
);
const asPath = (list: readonly PathStep[]): TopicPath => ({ source: list.join("/"), steps: list });

describe("against JSON.parse", () => {
  it("gives the topics a plain walk gives", () => {
    fc.assert(
      fc.property(json, steps, (text, list) => {
        const got = evaluateTopicField(asPath(list), text);
        expect(got.map((entry) => ("topic" in entry ? entry.topic : null))).toEqual(referenceTopics(list, text));
        const message: unknown = JSON.parse(text);
        const batch = Array.isArray(message) && typeof list[0] === "string";
        expect(got.map((entry) => JSON.parse(entry.json) as unknown)).toEqual(batch ? message : [message]);
      }),
      { numRuns: 5_000 },
    );
  });
  it("selects the text of the value a plain walk finds", () => {
    const anyIndex = fc.array(
      fc.oneof(
        key.filter((name) => name !== ""),
        fc.integer({ min: -3, max: 3 }),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(json, anyIndex, (text, list) => {
        const found = walk(JSON.parse(text), list);
        const selected = selectJson(asPath(list), text);
        if (selected === undefined) expect(found).toBeTypeOf("symbol");
        else expect(JSON.parse(selected)).toEqual(found);
      }),
      { numRuns: 3_000 },
    );
  });
  it("has a reference that sees source digits", () =>
    expect(parseWithSource("[12345678901234567890]")).toMatchObject([{ text: "12345678901234567890" }]));
});

describe("text that is no JSON", () => {
  // W3: a total function at run time.
  it("never throws, whatever is cut, doubled or scrambled", () => {
    const broken = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ":", ",", "s", "1", "-", " ", "u", "t") }),
      fc
        .tuple(json, fc.nat(), fc.nat())
        .map(([text, from, to]) => text.slice(0, from % (text.length + 1)) + text.slice(to % (text.length + 1))),
    );
    fc.assert(
      fc.property(broken, steps, (text, list) => {
        for (const entry of evaluateTopicField(asPath(list), text)) expect("topic" in entry || "reason" in entry).toBe(true);
        const selected = selectJson(asPath(list), text);
        expect(selected === undefined || text.includes(selected)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
  it.each([
    "",
    " ",
    "{",
    '{"s',
    '{"s"',
    '{"s":',
    '{"s":"',
    '{"s":"A',
    "[",
    "[[",
    '[{"s":"A"',
    "\\",
    '{"s":tru}',
    '{"s":01}',
    '{"s":+1}',
    '{"s":NaN}',
  ])("finds nothing to route by in %j", (text) => {
    expect(topics("s", text).filter((topic) => topic !== null)).toEqual([]);
  });
  it("stands a million brackets", () => {
    const deep = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;
    expect(topics("[0]", deep)).toEqual([null]);
    expect(topics("s", deep)).toEqual([null]);
    expect(topics("s", `{"a":${deep},"s":"A"}`)).toEqual(["A"]);
    expect(topics("s", "[".repeat(1_000_000))).toEqual([]);
  });
});

describe("data paths", () => {
  it.each([
    ["data.items", '{"data":{"items":[1, 2]}}', "[1, 2]"],
    ["items[-2]", '{"items":[1,{"a":1.50},3]}', '{"a":1.50}'],
    ["items[-4]", '{"items":[1,2,3]}', undefined],
    ["[-1].v", '[1,{"v":12345678901234567890}]', "12345678901234567890"],
    ["v", '[{"v":1}]', undefined],
    ["a", '{"a":null}', "null"],
    ["a", '{"a":"x"', undefined],
  ])("%s of %s", (field, text, wanted) => {
    const parsed = parseDataPath(field);
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(selectJson(parsed.path, text)).toBe(wanted);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluateTopicField } from "./evaluate.ts";
import { generateTopicFields } from "./generator.ts";
import { parseTopicField } from "./path.ts";

const fields = (sample: unknown, find: unknown) => generateTopicFields(sample, find).map((candidate) => candidate.topicField);
const bgp = { data: { path: [41722, 12389, 1299, 174, 40138], type: "UPDATE" } };

describe("candidates", () => {
  it("names the ends of an array that a key holds, the last one first when all elements are of one type", () =>
    expect(generateTopicFields(bgp, "path")).toEqual([
      { topicField: "data.path[-1]", topic: "40138", reason: "last element of the array path" },
      { topicField: "data.path[0]", topic: "41722", reason: "first element of the array path" },
    ]));
  it("names a value by its place, from the end too when it is the last", () => {
    expect(generateTopicFields(bgp, 40138)).toMatchObject([
      { topicField: "data.path[-1]", topic: "40138" },
      { topicField: "data.path[4]", topic: "40138" },
    ]);
    expect(fields(bgp, "1299")).toEqual(["data.path[2]"]);
  });
  it.each<[string, unknown, unknown, string[]]>([
    ["a key", { type: "ticker", product_id: "BTC-USD" }, "product_id", ["product_id"]],
    ["a value", { type: "ticker", product_id: "BTC-USD" }, "BTC-USD", ["product_id"]],
    ["a boolean", { a: { ok: false } }, false, ["a.ok"]],
    ["mixed elements: the position first", [1, { x: 5 }, "book-10", "XBT/USD"], "XBT/USD", ["[3]", "[-1]"]],
    ["fewest steps first, then document order", { a: { s: "X" }, s: "X", b: "X", c: { s: "Y" } }, "s", ["s", "a.s", "c.s"]],
    ["keys and values together", { s: "q", t: "s" }, "s", ["s", "t"]],
    ["a batch: the path inside its elements first", [{ s: "A" }, { s: "B" }], "s", ["s", "[0].s", "[1].s", "[-1].s"]],
    ["several spellings of nested ends", [["A", "B"]], "B", ["[0][-1]", "[-1][-1]", "[0][1]", "[-1][1]"]],
    ["not what cannot be addressed", { "a.b": "X", "c[0]": { x: "X" }, " d": "X", "": "X", e: "X" }, "X", ["e"]],
    ["a key with spaces inside a path", { "my field": "X" }, "X", ["my field"]],
    ["not an array of containers", { path: [[1]] }, "path", []],
    ["not a value that cannot be a topic", { s: null, t: { s: "" } }, "s", []],
    ["the last of repeated keys, with its digits", '{"id":1,"id":12345678901234567890}', "12345678901234567890", ["id"]],
    ["JSON as text", '{"a":{"s":"X"}}', "s", ["a.s"]],
    ["text that is no JSON", "plain", "plain", []],
    ["a scalar message", '"plain"', "plain", []],
    ["no match", bgp, "nothing", []],
    ["nothing to find", bgp, undefined, []],
    ["an object to find", bgp, { a: 1 }, []],
    ["undefined sample", undefined, "a", []],
  ])("%s", (_name, sample, find, wanted) => expect(fields(sample, find)).toEqual(wanted));
  it("answers at most ten, the shortest", () => {
    const sample = { deep: { list: Array.from({ length: 50 }, () => "X") }, s: "X" };
    expect(fields(sample, "X")).toHaveLength(10);
    expect(fields(sample, "X")[0]).toBe("s");
  });
  it("routes the sample to the topic it shows, for any sample", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("a", "b", "0", "true"), (sample, find) => {
        const json = JSON.stringify(sample);
        for (const candidate of generateTopicFields(sample, find)) {
          const parsed = parseTopicField(candidate.topicField);
          if (!parsed.ok) throw new Error(candidate.topicField);
          const topics = evaluateTopicField(parsed.path, json).map((entry) => ("topic" in entry ? entry.topic : undefined));
          expect(topics).toContain(candidate.topic);
        }
      }),
      { numRuns: 2_000 },
    );
  });
  it("is quick with a hostile sample", () => {
    const wide = `[${"[".repeat(400)}"X"${"]".repeat(400)},${'{"s":"X"},'.repeat(90_000)}"X"]`;
    expect(fields(wide, "s")).toHaveLength(10);
    expect(fields(`{"a":${"[".repeat(500_000)}${"]".repeat(500_000)}}`, "a")).toEqual([]);
  });
});

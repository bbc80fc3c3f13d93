import { encodeFeedLine, type FeedLine } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFeedLines } from "./feed-family.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const line: FeedLine = { feedId: "697d10f5824ee2ba77fcad87", epoch: 1, n: 1, ts: 1, kind: "json", json: '{"a":"}"}' };

describe("stored messages", () => {
  it("are lines, good and bad ones, each in its place", () => {
    expect(decodeFeedLines(encode(`${encodeFeedLine(line)}\n{"f":"x"}\n${encodeFeedLine({ ...line, n: 2 })}\n`))).toEqual([
      { ok: true, input: line },
      { ok: false, reason: "not a feed line", raw: '{"f":"x"}' },
      { ok: true, input: { ...line, n: 2 } },
    ]);
  });
  // W1: a `null` from an upstream ended the whole process.
  it("never throw, whatever they hold", () => {
    const cut = fc.tuple(fc.nat({ max: 120 }), fc.string({ unit: "binary" })).map(([at, text]) => encodeFeedLine(line).slice(0, at) + text);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), cut.map(encode)), (data) => {
        for (const item of decodeFeedLines(data)) expect(item.ok === true || item.reason !== "").toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

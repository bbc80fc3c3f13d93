import { encodeFeedLine, type FeedLine } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { readBodies } from "./log-bodies.ts";

const A = "697d10f5824ee2ba77fcad87";
const json = (feedId: string, n: number, text: string): FeedLine => ({ feedId, epoch: 1, n, ts: n, kind: "json", json: text });

/** A log of messages of lines, counting how often each is fetched. */
function log(messages: Record<number, (FeedLine | string)[]>) {
  const fetched: number[] = [];
  const fetch = async (seq: number) => {
    fetched.push(seq);
    const lines = messages[seq];
    if (lines === undefined) return undefined;
    return { data: new TextEncoder().encode(lines.map((line) => (typeof line === "string" ? line : encodeFeedLine(line))).join("\n")) };
  };
  return { fetch, fetched };
}

describe("bodies", () => {
  it("come in the order asked for, each stored message fetched once", async () => {
    const { fetch, fetched } = log({ 1: [json(A, 1, "1"), "broken", json(A, 2, "2")], 2: [json("other", 1, '"secret"'), json(A, 3, "3")] });
    const places = [
      { seq: 2, index: 1 },
      { seq: 2, index: 0 },
      { seq: 1, index: 2 },
      { seq: 1, index: 1 },
      { seq: 9, index: 0 },
      { seq: 1, index: 0 },
    ];
    // Neither a line of another feed, nor a broken one, nor one that has left the log.
    expect((await readBodies(A, places, fetch)).map((body) => body.json)).toEqual(["3", "2", "1"]);
    expect(fetched.toSorted()).toEqual([1, 2, 9]);
  });
  it("end before the answer is too large, but hold one whatever its size", async () => {
    const large = JSON.stringify("x".repeat(3_000_000));
    const { fetch, fetched } = log(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i + 1, [json(A, i + 1, large)]])));
    const places = Array.from({ length: 100 }, (_, i) => ({ seq: 100 - i, index: 0 }));
    expect((await readBodies(A, places, fetch)).map((body) => body.place.seq)).toEqual([100]);
    expect(fetched.length).toBeLessThan(100);
  });
  it("leave out what would not fit the broker's largest payload", async () => {
    // Every quote is escaped once more in the answer.
    const huge = JSON.stringify('"'.repeat(2_000_000));
    const { fetch } = log({ 1: [json(A, 1, huge)], 2: [json(A, 2, "2")] });
    const bodies = await readBodies(
      A,
      [
        { seq: 1, index: 0 },
        { seq: 2, index: 0 },
      ],
      fetch,
    );
    expect(bodies.map((body) => body.json)).toEqual(["2"]);
  });
});

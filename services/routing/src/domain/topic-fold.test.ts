import { type FeedLine, type FeedRecord, type FeedState, feedKeys } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { feedRecord } from "../fixtures/feed-record.ts";
import { compileRouting } from "./topic-config.ts";
import { foldFeedLine, type FoldLimits } from "./topic-fold.ts";
import { newFeedState } from "./topic-state.ts";

const ID = "697d10f5824ee2ba77fcad87";
const T0 = 1_769_802_850_630;

const record = (change: Partial<FeedRecord> = {}): FeedRecord => feedRecord(ID, { name: "Coinbase", topicField: "product_id", ...change });

/** A feed of its own; `send` folds the next line and answers what it put out. */
function feed(change: Partial<FeedRecord> = {}, limits: Partial<FoldLimits> = {}) {
  const state = newFeedState();
  let routing = compileRouting(record(change));
  const counts: Record<string, number> = {};
  let n = 0;
  const fold = (line: FeedLine, seq = line.n) => {
    const outputs: { key: string; frame: { type: string; payload: Record<string, unknown> }; wire: string; ext: unknown }[] = [];
    foldFeedLine(
      state,
      line,
      routing,
      { seq, index: 0 },
      { maxTopics: 1_000, maxOutputBytes: 4 * 1024 * 1024, ...limits },
      {
        emit: (key, wire, ext) => outputs.push({ key, wire, ext, frame: JSON.parse(wire) as never }),
        count: (what, by) => void (counts[what] = (counts[what] ?? 0) + by),
      },
    );
    return outputs;
  };
  return {
    state,
    counts,
    fold,
    json: (json: string, more: Partial<FeedLine> = {}) =>
      fold({ feedId: ID, epoch: 1, n: ++n, ts: T0 + n, kind: "json", json, ...more } as FeedLine),
    text: (text: string) => fold({ feedId: ID, epoch: 1, n: ++n, ts: T0 + n, kind: "text", text }),
    told: (next: FeedState) => fold({ feedId: ID, epoch: 1, n: ++n, ts: T0 + n, kind: "state", state: next }),
    change: (more: Partial<FeedRecord>) => void (routing = compileRouting(record({ ...change, ...more }))),
  };
}

describe("routed feeds", () => {
  it("sends a message to its topic, as the source text it came as", () => {
    const one = feed();
    const [output, ...rest] = one.json('{"product_id":"BTC-USD","id":12345678901234567890,"p":1.50}');
    expect(rest).toEqual([]);
    expect(output?.key).toBe(`${ID}:BTC-USD`);
    expect(output?.wire).toBe(
      `{"type":"topic-data","payload":{"feedId":"${ID}","topic":"BTC-USD","data":{"product_id":"BTC-USD","id":12345678901234567890,"p":1.50},"timestamp":"2026-01-30T19:54:10.631Z"}}`,
    );
    expect(output?.ext).toEqual({ k: 0, ts: T0 + 1, p: [1, 0] });
    expect(one.counts).toEqual({ message: 1, routed: 1 });
  });
  // W21: unrouted frames went out raw.
  it.each([
    ['{"type":"subscriptions"}', "missing"],
    ['{"product_id":null}', "null"],
    ['{"product_id":{"a":1}}', "not_scalar"],
    ['{"product_id":""}', "empty"],
    [String.raw`{"product_id":"A\u0000"}`, "control_characters"],
    ["42", "missing"],
    ["[]", "empty_batch"],
  ])("sends %s to nobody and counts it as %s", (json, reason) => {
    const one = feed();
    expect(one.json(json)).toEqual([]);
    expect(one.state.unrouted).toEqual({ [reason]: 1 });
    expect(one.state.lastUnrouted).toEqual([{ seq: 1, index: 0, ts: T0 + 1, reason }]);
    expect(one.counts).toEqual({ message: 1, [`unrouted:${reason}`]: 1 });
    expect(one.state).toMatchObject({ received: 1, routed: 0 });
  });
  it("takes a batch apart", () => {
    const one = feed({ topicField: "s" });
    const outputs = one.json('[{"s":"BTCUSDT","c":1.0},{"c":3},{"s":"ETHUSDT"},7]');
    expect(outputs.map(({ key, frame }) => [key, frame.payload["data"]])).toEqual([
      [`${ID}:BTCUSDT`, { s: "BTCUSDT", c: 1 }],
      [`${ID}:ETHUSDT`, { s: "ETHUSDT" }],
    ]);
    expect(outputs[0]?.wire).toContain('"data":{"s":"BTCUSDT","c":1.0}');
    expect(one.state).toMatchObject({ received: 1, routed: 2, unrouted: { missing: 2 } });
    expect(one.state.lastUnrouted).toEqual([{ seq: 1, index: 0, ts: T0 + 1, reason: "missing", element: 1 }]);
  });
  it("finds no topic in a text message, whatever it holds", () => {
    const one = feed();
    expect(one.text('{"product_id":"BTC-USD"')).toEqual([]);
    expect(one.state.unrouted).toEqual({ missing: 1 });
  });
  it.each([undefined, "a[", ""])("sends nothing while the topic field is %j", (topicField) => {
    const one = feed({ topicField });
    expect(one.json('{"a":1}')).toEqual([]);
    expect(one.state.unrouted).toEqual({ no_topic_field: 1 });
  });
  it("uses the topic field of its time", () => {
    const one = feed();
    one.change({ topicField: "side" });
    expect(one.json('{"product_id":"BTC-USD","side":"buy"}')[0]?.key).toBe(`${ID}:buy`);
  });
  // W27: every distinct value was kept for ever.
  it("keeps the topics updated last when there are too many", () => {
    const one = feed({ topicField: "s" }, { maxTopics: 3 });
    for (const s of ["a", "b", "c", "a", "d", "e"]) one.json(`{"s":"${s}"}`);
    expect([...one.state.topics.keys()]).toEqual(["a", "d", "e"]);
    expect(one.state.topics.get("a")).toEqual({ lastAt: T0 + 4, count: 2 });
    expect(one.state.evicted).toBe(2);
    expect(one.counts["evicted"]).toBe(2);
    for (let i = 0; i < 10_000; i++) one.json(`{"s":${i}}`);
    expect(one.state.topics.size).toBe(3);
    // A topic that was dropped still gets its messages.
    expect(one.json('{"s":"b"}')).toHaveLength(1);
  });
  it("puts out no more than one frame can hold, and says what it left out", () => {
    const one = feed({ topicField: "s" });
    const element = `{"s":"A","pad":"${"x".repeat(1_000_000)}"}`;
    const outputs = one.json(`[${Array.from({ length: 6 }, () => element).join(",")}]`);
    expect(outputs.length).toBe(4);
    expect(one.state.unrouted).toEqual({ too_large: 2 });
    // Many small elements grow the most.
    const many = one.json(`[${Array.from({ length: 100_000 }, () => '{"s":1}').join(",")}]`);
    expect(many.reduce((sum, output) => sum + Buffer.byteLength(output.wire), 0)).toBeLessThan(4 * 1024 * 1024);
    expect(many.length).toBeGreaterThan(5_000);
  });
  it("makes nothing more of a message once its frame is full, and counts the rest", () => {
    const one = feed({ topicField: "s" });
    const big = `{"s":"A","pad":"${"x".repeat(1_500_000)}"}`;
    const outputs = one.json(`[${big},${big},${big},{"s":"B"},{"s":"C"},{"x":1}]`);
    expect(outputs.map(({ key }) => key)).toEqual([feedKeys.topic(ID, "A"), feedKeys.topic(ID, "A")]);
    expect(one.state.unrouted).toEqual({ too_large: 3, missing: 1 });
    expect([...one.state.topics.keys()]).toEqual(["A"]);
  });
  it("lets a small message grow below the bound without measuring it", () => {
    const one = feed({ topicField: "s" });
    const elements = Array.from({ length: 8_190 }, () => '{"s":1}').join(",");
    const outputs = one.json(`[${elements}]`);
    expect(outputs).toHaveLength(8_190);
    expect(outputs.reduce((sum, output) => sum + Buffer.byteLength(output.wire) + 128, 0)).toBeLessThan(4 * 1024 * 1024);
  });
});

describe("plain feeds", () => {
  it("sends every message as it came, text as a string", () => {
    const one = feed({ enableTopicRouting: false });
    const [json] = one.json('[1.0,{"a":12345678901234567890}]');
    expect(json?.key).toBe(ID);
    expect(json?.wire).toBe(
      `{"type":"feed-data","payload":{"feedId":"${ID}","feedName":"Coinbase","eventName":"message","data":[1.0,{"a":12345678901234567890}],"timestamp":"2026-01-30T19:54:10.631Z"}}`,
    );
    expect(one.text('a "b"\n')[0]?.frame.payload["data"]).toBe('a "b"\n');
    expect(one.json("1", { eventName: "trade" })[0]?.frame.payload["eventName"]).toBe("trade");
    expect(one.state).toMatchObject({ received: 3, routed: 3, unrouted: {} });
    expect(one.state.topics.size).toBe(0);
  });
  it("leaves out what no frame can hold", () => {
    const one = feed({ enableTopicRouting: false });
    expect(one.json(JSON.stringify("é".repeat(2_100_000)))).toEqual([]);
    expect(one.state.unrouted).toEqual({ too_large: 1 });
  });
});

describe("states of the connection", () => {
  it("tells changes to whoever listens to anything of the feed", () => {
    const one = feed();
    const [output] = one.told({ status: "error", error: "429", attempt: 3 });
    expect(output?.key).toBe(`${ID}!`);
    expect(output?.frame).toEqual({ type: "feed-status", payload: { feedId: ID, status: "error", error: "429", attempt: 3 } });
    expect(one.state.received).toBe(0);
  });
  it("does not repeat itself when only drop counts changed, but remembers them", () => {
    const one = feed();
    expect(one.told({ status: "connected" })).toHaveLength(1);
    expect(one.told({ status: "connected", dropped: { rate: 5 } })).toEqual([]);
    expect(one.state.connection).toEqual({ status: "connected", dropped: { rate: 5 } });
    expect(one.told({ status: "reconnecting", attempt: 1 })).toHaveLength(1);
    expect(one.told({ status: "reconnecting", attempt: 2 })).toHaveLength(1);
  });
});

describe("lines that must not count", () => {
  const line = (epoch: number, n: number): FeedLine => ({ feedId: ID, epoch, n, ts: T0, kind: "json", json: '{"product_id":"A"}' });
  it("drops repeats, lines out of order and lines of a replaced writer", () => {
    const one = feed();
    const taken = [
      line(5, 1),
      line(5, 2),
      line(5, 2),
      line(5, 1),
      line(5, 4),
      line(5, 3),
      line(4, 9),
      line(6, 1),
      line(5, 5),
      line(6, 1),
      line(6, 2),
    ].map((each) => one.fold(each).length);
    expect(taken).toEqual([1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
    expect(one.counts).toMatchObject({ stale: 6, message: 5, routed: 5 });
    expect(one.state).toMatchObject({ epoch: 6, n: 2, received: 5 });
  });
});

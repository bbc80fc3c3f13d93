import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFeedLine, encodeFeedLine, feedKeys, type FeedLine, oneLine, parseFeedKey, topicWire } from "./feed-log.ts";

const header = { feedId: "697d10f5824ee2ba77fcad87", epoch: 7, n: 3, ts: 1_769_802_850_630 };

describe("lines", () => {
  it("keeps the source text of numbers", () => {
    const line: FeedLine = { ...header, kind: "json", json: '{"id":12345678901234567890,"p":1.50}' };
    const text = encodeFeedLine(line);
    expect(text).toBe('{"f":"697d10f5824ee2ba77fcad87","e":7,"n":3,"t":1769802850630,"j":{"id":12345678901234567890,"p":1.50}}');
    expect(decodeFeedLine(text)).toEqual(line);
  });
  it("comes back as it went", () => {
    const payload = fc.oneof(
      fc.json().map((json) => ({ kind: "json" as const, json: oneLine(json) })),
      fc.string({ unit: "binary" }).map((text) => ({ kind: "text" as const, text })),
      fc.constant({ kind: "state" as const, state: { status: "connected" as const, attempt: 2 } }),
    );
    const name = fc.option(fc.string({ unit: "grapheme" }), { nil: undefined });
    fc.assert(
      fc.property(payload, name, (body, eventName) => {
        const line: FeedLine = { ...header, ...(eventName === undefined ? {} : { eventName }), ...body };
        const text = encodeFeedLine(line);
        expect(text).not.toMatch(/[\r\n]/);
        expect(JSON.parse(text)).toBeTypeOf("object");
        expect(decodeFeedLine(text)).toEqual(line);
      }),
    );
  });
  it("puts JSON with line breaks on one line without changing its value", () => {
    expect(JSON.parse(oneLine('{\r\n "a":\n"x\\ny"}'))).toEqual({ a: "x\ny" });
  });
  it.each(["", "{}", '{"f":"a","e":1,"n":1,"t":1,"j":1', '{"e":1}'])("refuses %s", (text) =>
    expect(() => decodeFeedLine(text)).toThrow(SyntaxError),
  );
});

describe("routing keys", () => {
  it.each([
    [feedKeys.data("ab"), { kind: "data", feedId: "ab" }],
    [feedKeys.control("ab"), { kind: "control", feedId: "ab" }],
    [feedKeys.llm("ab"), { kind: "llm", feedId: "ab" }],
    [feedKeys.topic("ab", "x:y!"), { kind: "topic", feedId: "ab", topic: "x:y!" }],
  ])("%s", (key, parsed) => expect(parseFeedKey(key)).toEqual(parsed));
});

it("writes the contract's frames", () => {
  const ts = 1_769_802_850_630;
  expect(JSON.parse(topicWire.feedData({ feedId: "f", feedName: 'a"b', eventName: "", data: "[1]", ts }))).toEqual({
    type: "feed-data",
    payload: { feedId: "f", feedName: 'a"b', eventName: "", data: [1], timestamp: "2026-01-30T19:54:10.630Z" },
  });
  expect(JSON.parse(topicWire.topicData({ feedId: "f", topic: "XBT/USD", data: '"x"', ts }))).toEqual({
    type: "topic-data",
    payload: { feedId: "f", topic: "XBT/USD", data: "x", timestamp: "2026-01-30T19:54:10.630Z" },
  });
  expect(topicWire.feedStatus({ feedId: "f", status: "reconnecting", attempt: 2 })).toBe(
    '{"type":"feed-status","payload":{"feedId":"f","status":"reconnecting","attempt":2}}',
  );
});

import { decodeFrameHeader, encodeFrame, feedKeys, type FrameHeader, topicWire } from "@headwater/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { messagesOf, type TopicMessage } from "./topic-frame.ts";

function frameOf(keys: string[], outputs: { wire: string; ext: string }[]): { header: FrameHeader; body: Uint8Array } {
  const header: FrameHeader = { v: 1, family: "topics", gen: "g1", epoch: 1, in: 1, reg: 1, regs: [], n: outputs.length, keys };
  const decoded = decodeFrameHeader(new TextEncoder().encode(encodeFrame(header, outputs)));
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded;
}

it("cuts out the upstream's own text, whatever names and data hold", () => {
  const name = fc.oneof(fc.string({ unit: "binary", maxLength: 20 }), fc.constantFrom('a","data":{"x":1}', "\\", '"', ":", "}}\n"));
  const message = fc.record({
    topic: fc.option(name, { nil: undefined }),
    feedName: name,
    eventName: name,
    data: fc.json(),
    ts: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      const keys = messages.map(({ topic }) => (topic === undefined ? feedKeys.data("f1") : feedKeys.topic("f1", topic)));
      const outputs = messages.map(({ topic, feedName, eventName, data, ts }, k) => ({
        wire:
          topic === undefined
            ? topicWire.feedData({ feedId: "f1", feedName, eventName, data, ts })
            : topicWire.topicData({ feedId: "f1", topic, data, ts }),
        ext: JSON.stringify({ k, ts, p: [1, k] }),
      }));
      const { header, body } = frameOf(keys, outputs);
      // Lone surrogates do not survive UTF-8; neither do they in the log.
      const wellFormed = (text: string | undefined): string | undefined => text?.toWellFormed();
      const expected: TopicMessage[] = messages.map(({ topic, data, ts }) => ({ feedId: "f1", topic, ts, json: data }));
      expect(messagesOf(header, body).map((found) => ({ ...found, topic: wellFormed(found.topic), json: wellFormed(found.json) }))).toEqual(
        expected.map((found) => ({ ...found, topic: wellFormed(found.topic), json: wellFormed(found.json) })),
      );
    }),
    { numRuns: 40 },
  );
});

it("leaves states of connections out", () => {
  const wire = topicWire.feedStatus({ feedId: "f1", status: "connected" });
  const { header, body } = frameOf([feedKeys.control("f1")], [{ wire, ext: '{"k":0,"ts":1,"p":[1,0]}' }]);
  expect(messagesOf(header, body)).toEqual([]);
});

it("takes an ext line written in any other order", () => {
  const wire = topicWire.topicData({ feedId: "f1", topic: "t", data: "[1]", ts: 1 });
  const { header, body } = frameOf([feedKeys.topic("f1", "t")], [{ wire, ext: '{"ts":7.5,"p":[1,0],"k":0}' }]);
  expect(messagesOf(header, body)).toEqual([{ feedId: "f1", topic: "t", ts: 7.5, json: "[1]" }]);
});

const good = topicWire.topicData({ feedId: "f1", topic: "t", data: "{}", ts: 1 });
it.each([
  ["a key that is not there", good, '{"k":1,"ts":1,"p":[1,0]}'],
  ["no time", good, '{"k":0,"p":[1,0]}'],
  ["an ext line that is no object", good, "null"],
  ["an ext line that is no JSON", good, "x"],
  ["another topic's line", topicWire.topicData({ feedId: "f1", topic: "u", data: "{}", ts: 1 }), '{"k":0,"ts":1,"p":[1,0]}'],
  ["an ext line that was cut", good, '{"k":0,"ts":1,"p":[1,'],
  ["a line without its time", `${good.slice(0, good.indexOf("{}"))}"}}`, '{"k":0,"ts":1,"p":[1,0]}'],
  [
    "a plain feed's line under a topic",
    topicWire.feedData({ feedId: "f1", feedName: "", eventName: "", data: "{}", ts: 1 }),
    '{"k":0,"ts":1,"p":[1,0]}',
  ],
  ["a line that was cut", good.slice(0, -1), '{"k":0,"ts":1,"p":[1,0]}'],
])("refuses %s", (_name, wire, ext) => {
  const { header, body } = frameOf([feedKeys.topic("f1", "t")], [{ wire, ext }]);
  expect(() => messagesOf(header, body)).toThrow();
});

import { encodeFeedLine, encodeFrame, feedKeys, topicWire } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { decodeStored } from "./decode.ts";
import { matches } from "./filter.ts";
import { eventJson, eventLine } from "./format.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const stored = (subject: string, text: string) => ({ subject, seq: 7, timeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678), data: bytesOf(text) });
const header = { v: 1 as const, family: "signals" as const, gen: "g1", epoch: 3, in: 40, reg: 9, regs: [] };
const wire = (visitorId: string, behavioralClass: string) =>
  JSON.stringify({
    type: "event", ts: 1, visitorId, sessionId: "s", eventType: "pageview", page: "/pricing",
    bot: { isBot: behavioralClass === "bot", score: 95, name: "Googlebot" }, behavioralClass, device: {},
    scores: { intent: 12, frustration: 0, engagement: 5 }, hasIdentified: false,
  }); // biome-ignore format: one literal
const frame = encodeFrame({ ...header, n: 2, keys: ["ten_a", "ten_b"] }, [
  { wire: wire("v1", "human"), ext: '{"k":0,"s":"site_1"}' },
  { wire: wire("v2", "bot"), ext: '{"k":1,"s":"site_2"}' },
]);
const nameOf = (id: string): string | undefined => (id === "ten_a" ? "acme" : undefined);

describe("frames", () => {
  it("become their outputs, each with its tenant", () => {
    const events = decodeStored(stored("signals.4", frame));
    expect(events.map((event) => [event.kind, event.tenantId, event.siteId, event.visitorId, event.class])).toEqual([
      ["labeled", "ten_a", "site_1", "v1", "human"],
      ["labeled", "ten_b", "site_2", "v2", "bot"],
    ]);
    expect(events[0]?.frame).toEqual({ epoch: 3, in: 40, reg: 9 });
  });
  it("that only carry a position show nothing", () => {
    expect(decodeStored(stored("signals.4", encodeFrame({ ...header, n: 0, keys: [] }, [])))).toEqual([]);
  });
  it.each([
    ["garbage", "not a frame"],
    ["a missing line", frame.slice(0, frame.lastIndexOf("\n"))],
    ["another version", JSON.stringify({ ...header, v: 2, n: 0, keys: [] })],
    ["broken wire", encodeFrame({ ...header, n: 1, keys: ["t"] }, [{ wire: "{", ext: '{"k":0}' }])],
  ])("%s is shown as undecodable, not hidden", (_name, text) => {
    const [event] = decodeStored(stored("signals.4", text));
    expect(event?.kind).toBe("undecodable");
    expect(event && matches(event, {})).toBe(true);
    expect(event && matches(event, { class: "bot" })).toBe(false);
  });
});

describe("other streams", () => {
  it("visits are one event per line", () => {
    const line = (visitorId: string) =>
      JSON.stringify({ v: 1, kind: "visit", tenantId: "ten_a", siteId: "x", visitorId, type: "click", path: "/" });
    const events = decodeStored(stored("visits.4", `${line("v1")}\n${line("v2")}`));
    expect(events.map((event) => [event.kind, event.visitorId, event.type, event.page])).toEqual([
      ["visit", "v1", "click", "/"],
      ["visit", "v2", "click", "/"],
    ]);
  });
  it("registry records know their tenant", () => {
    const [tenant] = decodeStored(stored("registry.tenant.ten_a", '{"type":"tenant.created","data":{}}'));
    const [key] = decodeStored(stored("registry.key.key_1", '{"type":"key.revoked","data":{"tenantId":"ten_a"}}'));
    expect([tenant?.tenantId, key?.tenantId, key?.type]).toEqual(["ten_a", "ten_a", "key.revoked"]);
  });
});

describe("feeds", () => {
  const line = { feedId: "697d10f5824ee2ba77fcad87", epoch: 3, n: 1, ts: 1 };
  const topicFrame = encodeFrame({ ...header, family: "topics", n: 1, keys: [feedKeys.topic(line.feedId, "XBT/USD")] }, [
    { wire: topicWire.topicData({ feedId: line.feedId, topic: "XBT/USD", data: "[1]", ts: 1 }), ext: '{"k":0,"ts":1,"p":[1,0]}' },
  ]);
  it("frames know their feed and topic", () => {
    const [event] = decodeStored(stored("topics.4", topicFrame));
    expect(event).toMatchObject({ kind: "feed_frame", feedId: line.feedId, topic: "XBT/USD", type: "topic-data" });
    expect(event && matches(event, { feedId: line.feedId, topic: "XBT/USD" })).toBe(true);
    expect(event && matches(event, { feedId: line.feedId, topic: "XBT" })).toBe(false);
    expect(event && eventLine(event, nameOf)).toContain(`topic-data  ${line.feedId}  XBT/USD  [1]`);
  });
  it("messages and states are one event per line", () => {
    const text = [
      encodeFeedLine({ ...line, kind: "json", json: '{"a":1}' }),
      encodeFeedLine({ ...line, kind: "text", text: "hi" }),
      encodeFeedLine({ ...line, kind: "state", state: { status: "connected" } }),
      '{"other":1}',
    ].join("\n");
    const events = decodeStored(stored("feeds.4", text));
    expect(events.map((event) => [event.kind, event.feedId, event.type])).toEqual([
      ["feed_message", line.feedId, "json"],
      ["feed_message", line.feedId, "text"],
      ["feed_message", line.feedId, "connected"],
      ["undecodable", undefined, undefined],
    ]);
    expect(events[1] && eventLine(events[1], nameOf)).toContain('"hi"');
  });
});

describe("filters", () => {
  it.each([
    [{}, ["v1", "v2"]],
    [{ tenantId: "ten_a" }, ["v1"]],
    [{ class: "bot" }, ["v2"]],
    [{ class: "bot", tenantId: "ten_a" }, []],
    [{ visitorId: "v2", page: "/pri" }, ["v2"]],
    [{ page: "/other" }, []],
    [{ type: "click" }, []],
  ])("%j", (filter, visitors) => {
    const shown = decodeStored(stored("signals.4", frame)).filter((event) => matches(event, filter));
    expect(shown.map((event) => event.visitorId)).toEqual(visitors);
  });
});

describe("one line per event", () => {
  const events = decodeStored(stored("signals.4", frame));
  it("for people", () => {
    expect(events.map((event) => eventLine(event, nameOf))).toEqual([
      "03:04:05.678  signals.4 #7        acme        pageview   v1  /pricing  human (Googlebot)  intent=12 frustration=0 engagement=5\n",
      "03:04:05.678  signals.4 #7        ten_b       pageview   v2  /pricing  bot (Googlebot)  intent=12 frustration=0 engagement=5\n",
    ]);
  });
  it("for programs", () => {
    const line = events[0] ? eventJson(events[0], nameOf) : "";
    expect(line.endsWith("}\n")).toBe(true);
    expect(JSON.parse(line)).toMatchObject({
      time: "2026-01-02T03:04:05.678Z",
      tenant: "acme",
      seq: 7,
      body: { visitorId: "v1" },
      ext: { k: 0 },
    });
  });
  it("never moves the cursor of a terminal", () => {
    const [event] = decodeStored(
      stored("visits.1", JSON.stringify({ kind: "visit", visitorId: "\u001b[2J", type: "click", path: "/\n/" })),
    );
    expect(event && eventLine(event, nameOf)).toContain("\\u001b[2J  /\\u000a/");
  });
});

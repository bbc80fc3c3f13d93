/** Every frame the edge writes is one the published schemas describe, with nothing they do not know. */
import { FEED_INCLUDES, FeedControlFrame, FeedEventExtras, type LabelExt } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { cursorTail, includeTail } from "../../domain/include.ts";
import { feedFrames } from "./frames.ts";

const hello = {
  ts: 1,
  connectionId: "conn_1",
  tenantId: "acme",
  plan: "scale",
  capabilities: ["read", "filter", "resume"],
  heartbeatIntervalMs: 30_000,
  idleTimeoutMs: 90_000,
  maxDurationMs: 3_600_000,
  maxBufferedBytes: 4_194_304,
  scoringVersion: "2026-1",
  cursor: "c1_x",
  filter: { classes: ["human"], min: { intent: 70 }, crossing: ["intent:70"] },
  resumed: true,
};

describe("control frames", () => {
  it.each([
    feedFrames.hello(hello),
    feedFrames.hello({ ...hello, filter: null, resumed: false }),
    feedFrames.ping(1),
    feedFrames.pong(undefined),
    feedFrames.pong(17),
    feedFrames.pong({ any: ["thing"] }),
    feedFrames.durationLimit(3_600_000, 10_000, "c1_x"),
    feedFrames.gap(undefined, "c1_y"),
    feedFrames.gap("c1_x", "c1_y"),
    feedFrames.live("c1_x"),
    feedFrames.subscribed(undefined, null),
    feedFrames.subscribed("s1", { isBot: false }),
    feedFrames.error(undefined, "invalid_json", "Messages must be JSON objects"),
    feedFrames.error("s1", "invalid_filter", "unknown"),
    feedFrames.closing(5_000, "c1_x"),
  ])("%s", (text) => {
    // Unknown members would be dropped by the schema, so the bytes would differ.
    expect(JSON.stringify(FeedControlFrame.parse(JSON.parse(text)))).toBe(text);
  });
});

describe("optional members of an event", () => {
  const ext: LabelExt = {
    k: 0,
    v: "vis_1",
    e: "custom",
    c: "human",
    b: 0,
    p: "/",
    s: "site_1",
    d: "desktop",
    i: 0,
    ts: 1,
    id: "evt_1",
    et: 2,
    o: "sdk",
    l: { em: "curious", st: "browsing", ln: null, hc: 0.9 },
    n: "add_to_cart",
    ca: "shop",
    a: "add",
    la: "sku",
    va: 2,
    el: "#buy",
    co: "DE",
    lg: "de",
    x: { intent: [["cart", 0.2]] },
  };
  it("are the ones of the schema, in its order", () => {
    const text = `{${cursorTail("c1_x", 7).slice(1)}${includeTail(FEED_INCLUDES, ext, 3)}}`;
    expect(JSON.stringify(FeedEventExtras.parse(JSON.parse(text)))).toBe(text);
    expect(Object.keys(JSON.parse(text))).toEqual(Object.keys(FeedEventExtras.shape));
  });
});

/** The small pure modules together: glob, sample, include, dialect, cursor, position, slow reader, lifecycle, token bucket, client messages. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { label } from "../testing/labels.ts";
import { parseClientMessage } from "./client-message.ts";
import { CURSOR_PAYLOAD_BYTES, decodeCursor, encodeCursor } from "./cursor.ts";
import { toDialect2 } from "./dialect.ts";
import { compileGlobs } from "./glob.ts";
import { cursorTail, includeTail, parseInclude } from "./include.ts";
import { lifecycleDue } from "./lifecycle.ts";
import { planResume } from "./position.ts";
import { isSampled } from "./sample.ts";
import { isStuck, overflows } from "./slow-reader.ts";
import { TokenBucket } from "./token-bucket.ts";

describe("glob", () => {
  it.each([
    ["/a", "/a", true],
    ["/a", "/a/", false],
    ["/a/*", "/a/b/c", true],
    ["/a/*/z", "/a/b/z", true],
    ["/a/*/z", "/a/z", false],
    ["*", "", true],
    ["*x*", "axb", true],
    ["a*a", "a", false],
    ["a*b*b", "ab", false],
    ["a*b*b", "abb", true],
  ])("%s on %s is %s", (pattern, path, expected) => {
    expect(compileGlobs([pattern])(path)).toBe(expected);
  });
});

describe("sample", () => {
  it("keeps about the share, whole visitors, nested", () => {
    const visitors = Array.from({ length: 20_000 }, (_, i) => `vis_${i.toString(36)}${(i * 7919).toString(36)}`);
    const tenth = visitors.filter((v) => isSampled(v, 0.1));
    expect(tenth.length / visitors.length).toBeGreaterThan(0.085);
    expect(tenth.length / visitors.length).toBeLessThan(0.115);
    expect(tenth.every((v) => isSampled(v, 0.2) && isSampled(v, 1))).toBe(true);
  });
});

describe("include", () => {
  it("keeps wire order, drops repetitions, names the unknown", () => {
    expect(parseInclude(["origin,ids", "ids,cursor"])).toEqual({ ok: true, includes: ["cursor", "ids", "origin"] });
    expect(parseInclude([""])).toEqual({ ok: true, includes: [] });
    expect(parseInclude(["ids,scores"])).toMatchObject({ ok: false });
  });

  it("splices exactly the documented members", () => {
    const { ext } = label({ n: "signup", va: 3, el: "#go", co: "DE", lg: "de", x: { intent: [["cart", 0.2]] } });
    const tail = includeTail(["ids", "time", "event", "labels", "explain", "locale", "origin"], ext, 1_713_797_640_005);
    expect(JSON.parse(`{"a":1${cursorTail("c1_x", 4)}${tail}}`)).toEqual({
      a: 1,
      cursor: "c1_x",
      seq: 4,
      eventId: "evt_1",
      siteId: "main",
      eventTime: 1_713_797_639_000,
      scoredAt: 1_713_797_640_005,
      name: "signup",
      value: 3,
      element: { selector: "#go" },
      labels: { emotion: "curious", stage: "evaluating", lane: null, humanConfidence: 91 },
      explain: { intent: [["cart", 0.2]] },
      locale: { country: "DE", language: "de" },
      origin: "sdk",
    });
    const { l: _l, ...bare } = label().ext;
    expect(includeTail(["event", "labels", "explain", "locale"], bare, 0)).toBe("");
  });
});

describe("dialect 2", () => {
  it("changes only the fields that name it", () => {
    const { wire, ext } = label({ p: '/"sessionMomentum":1,"device":{"type":"x' });
    const before = JSON.parse(wire);
    expect(JSON.parse(toDialect2(wire, ext))).toEqual({
      ...before,
      scores: { ...before.scores, sessionMomentum: 42, emotionalState: "curious", decisionStage: "evaluating" },
    });
  });

  it("says unknown for a device nobody recognised and leaves unscored events alone", () => {
    const { sc: _sc, em: _em, st: _st, ...unscored } = label().ext;
    const wire = label(unscored).wire.replace('"browser":"Chrome","os":"macOS"', '"browser":"Unknown","os":"Unknown"');
    expect(JSON.parse(toDialect2(wire, unscored)).device.type).toBe("unknown");
  });
});

describe("cursor payload", () => {
  it("survives a round trip", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(4_294_967_295), fc.nat(4_294_967_295), fc.maxSafeNat(), (next, at, log, count) => {
        const cursor = { surface: 1 as const, log, next: Math.max(1, next), at, count };
        expect(decodeCursor(encodeCursor(cursor), 1)).toEqual(cursor);
      }),
    );
  });

  it("refuses what is not one", () => {
    expect(decodeCursor(new Uint8Array(CURSOR_PAYLOAD_BYTES), 1)).toBeUndefined();
    expect(decodeCursor(new Uint8Array(3), 1)).toBeUndefined();
    expect(decodeCursor(new Uint8Array(CURSOR_PAYLOAD_BYTES).fill(255), 1)).toBeUndefined();
  });
});

describe("position", () => {
  const extent = { log: 1, firstSeq: 10, lastSeq: 20 };
  it.each([
    ["inside", { log: 1, next: 15, at: 2 }, { kind: "continue", from: { next: 15, at: 2 } }],
    ["oldest kept", { log: 1, next: 10, at: 0 }, { kind: "continue", from: { next: 10, at: 0 } }],
    ["at the end", { log: 1, next: 21, at: 0 }, { kind: "continue", from: { next: 21, at: 0 } }],
    ["below retention", { log: 1, next: 9, at: 3 }, { kind: "gap", from: { next: 10, at: 0 } }],
    ["ahead of the end", { log: 1, next: 22, at: 0 }, { kind: "gap", from: { next: 10, at: 0 } }],
    ["another log", { log: 2, next: 15, at: 0 }, { kind: "gap", from: { next: 10, at: 0 } }],
  ])("%s", (_name, cursor, plan) => {
    expect(planResume(cursor, extent)).toEqual(plan);
  });
});

describe("slow reader", () => {
  const limits = { maxBufferedBytes: 100, noProgressMs: 5_000 };
  it("counts the frame about to be sent, but lets a lone large one pass", () => {
    expect(overflows({ bufferedBytes: 60, progressAtMs: 0 }, 40, limits)).toBe(false);
    expect(overflows({ bufferedBytes: 60, progressAtMs: 0 }, 41, limits)).toBe(true);
    expect(overflows({ bufferedBytes: 0, progressAtMs: 0 }, 500, limits)).toBe(false);
  });
  it("is stuck only with data pending", () => {
    expect(isStuck({ bufferedBytes: 0, progressAtMs: 0 }, 9_000, limits)).toBe(false);
    expect(isStuck({ bufferedBytes: 1, progressAtMs: 0 }, 4_999, limits)).toBe(false);
    expect(isStuck({ bufferedBytes: 1, progressAtMs: 0 }, 5_000, limits)).toBe(true);
  });
});

describe("lifecycle", () => {
  const limits = { heartbeatMs: 30_000, idleMs: 90_000, durationWarningMs: 10_000 };
  const fresh = { openedAtMs: 0, inboundAtMs: 0, pingAtMs: 0, maxDurationMs: 60_000, durationWarned: false };
  it.each([
    ["nothing", {}, 29_999, []],
    ["heartbeat", {}, 30_000, ["heartbeat"]],
    ["warning", { pingAtMs: 45_000 }, 50_000, ["duration_warning"]],
    ["warning before the end even when late", { pingAtMs: 65_000, inboundAtMs: 60_000 }, 70_000, ["duration_warning"]],
    ["end", { durationWarned: true }, 60_000, ["duration_end"]],
    ["idle beats everything", { durationWarned: true }, 90_000, ["idle"]],
    ["unlimited", { maxDurationMs: 0, pingAtMs: 85_000 }, 89_999, []],
  ])("%s", (_name, change, now, due) => {
    expect(lifecycleDue({ ...fresh, ...change }, now, limits)).toEqual(due);
  });
});

it("token bucket allows a burst of one second and refills", () => {
  const bucket = new TokenBucket(20, 0);
  expect(Array.from({ length: 21 }, () => bucket.take(0)).filter(Boolean)).toHaveLength(20);
  expect(bucket.take(49)).toBe(false);
  expect(bucket.take(100)).toBe(true);
  const bursty = new TokenBucket(50, 0, 100);
  expect(Array.from({ length: 101 }, () => bursty.take(0)).filter(Boolean)).toHaveLength(100);
  expect(Array.from({ length: 51 }, () => bursty.take(1_000)).filter(Boolean)).toHaveLength(50);
});

describe("client message", () => {
  it.each([
    ['{"type":"ping","timestamp":5}', { type: "ping", timestamp: 5 }],
    ['{"type":"pong"}', { type: "pong" }],
    ['{"type":"subscribe","id":"s1","filter":{"isBot":true}}', { type: "subscribe", id: "s1", filter: { isBot: true } }],
    ['{"type":"publish","id":"w1"}', { type: "publish", id: "w1" }],
    ['{"type":"ack","cursor":"c"}', { type: "ack", id: undefined }],
    ['{"type":"hello"}', { type: "unknown", id: undefined, name: "hello" }],
    ["{}", { type: "unknown", id: undefined, name: "" }],
    ["[]", { type: "malformed" }],
    ["5", { type: "malformed" }],
    ["{", { type: "malformed" }],
    ["", { type: "malformed" }],
  ])("%s", (text, message) => {
    expect(parseClientMessage(text)).toEqual(message);
  });
});

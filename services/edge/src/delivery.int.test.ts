/** What a connected subscriber gets: exact frames, filters, additions, isolation between tenants, answers to its messages. */
import { lastMessage } from "@headwater/messaging";
import type { LabelExt } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { type FeedFrame, type FeedSocket, openFeed } from "./testing/feed-socket.ts";
import { label } from "./testing/labels.ts";

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: FeedSocket[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge();
  for (const tenant of ["acme", "globex"]) fixture.addKey(`key-${tenant}`, tenant);
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const open = async (query = "", tenant = "acme"): Promise<FeedSocket> => {
  const socket = await openFeed(`${edge.url}/v1/signals/stream?key=key-${tenant}${query}`);
  sockets.push(socket);
  return socket;
};
const acme = (ext: Partial<LabelExt>) => ({ tenant: "acme", ext });

it("the default frame is the wire line, byte for byte", async () => {
  const socket = await open();
  const texts: string[] = [];
  socket.ws.on("message", (data) => texts.push(String(data)));
  await fixture.publish([acme({ v: "vis_ü", p: "/größe" }), { tenant: "globex" }, acme({ v: "vis_2" })]);
  await socket.received(2);
  expect(texts).toEqual([label({ v: "vis_ü", p: "/größe" }).wire, label({ v: "vis_2" }).wire]);
  expect(Object.keys(socket.events()[0] ?? {})).toEqual([
    "type",
    "ts",
    "visitorId",
    "sessionId",
    "eventType",
    "page",
    "bot",
    "behavioralClass",
    "device",
    "scores",
    "hasIdentified",
  ]);
});

it("F14: filters at connect keep only what matches", async () => {
  const socket = await open("&min.intent=70&classes=human");
  await fixture.publish([
    acme({ v: "low", sc: [60, 0, 0, 0, 0, 0, 0, 0, 0] }),
    acme({ v: "bot", c: "bot" }),
    acme({ v: "yes" }),
    { tenant: "globex", ext: { v: "foreign" } },
  ]);
  await fixture.publish([acme({ v: "last" })]);
  await socket.received(2);
  expect(socket.visitors()).toEqual(["yes", "last"]);
});

it("F15: a crossing alerts once per rise", async () => {
  const socket = await open("&crossing=intent:70&include=ids");
  let before: number | undefined;
  for (const intent of [60, 72, 75, 64, 71]) {
    await fixture.publish([acme({ id: `intent-${intent}`, sc: [intent], ...(before === undefined ? {} : { pv: [before] }) })]);
    before = intent;
  }
  await edge.service.settled();
  await socket.received(2);
  expect(socket.events().map((event) => event["eventId"])).toEqual(["intent-72", "intent-71"]);
});

it("additions are spliced in and nothing else changes", async () => {
  const [plain, rich] = [await open(), await open("&include=cursor,ids,time,labels,origin")];
  await fixture.publish([{ tenant: "globex" }, acme({ v: "a", id: "e1" }), acme({ v: "b", id: "e2" })]);
  await Promise.all([plain.received(2), rich.received(2)]);
  expect(rich.events().map((event) => event["seq"])).toEqual([1, 2]);
  const [first] = rich.events();
  expect(first).toEqual({
    ...plain.events()[0],
    cursor: expect.stringMatching(/^c1_[A-Za-z0-9_-]{1,61}$/),
    seq: 1,
    eventId: "e1",
    siteId: "main",
    eventTime: expect.any(Number),
    scoredAt: expect.any(Number),
    labels: { emotion: "curious", stage: "evaluating", lane: null, humanConfidence: 91 },
    origin: "sdk",
  });
});

it("the second dialect changes only what names it", async () => {
  const socket = await open("&dialect=2&include=ids");
  await fixture.publish([acme({ v: "a" })]);
  await socket.received(1);
  expect(socket.events()[0]?.["scores"]).toMatchObject({ sessionMomentum: 42, emotionalState: "curious", decisionStage: "evaluating" });
});

it("unscored events are delivered with scores null", async () => {
  const socket = await open();
  const { sc: _sc, em: _em, st: _st, ...unscored } = label().ext;
  await fixture.publish([{ tenant: "acme", ext: { ...unscored, sc: undefined as never } }]);
  await socket.received(1);
  expect(socket.events()[0]).toHaveProperty("visitorId");
});

describe("messages", () => {
  it("subscribe replaces the filter at an exact place", async () => {
    const socket = await open("&classes=bot");
    await fixture.publish([acme({ v: "before" }), acme({ v: "before-bot", c: "bot" })]);
    await socket.received(1);
    socket.send({ type: "subscribe", id: "s1", filter: { eventTypes: ["form"] } });
    expect(await socket.first("subscribed")).toEqual({ type: "subscribed", id: "s1", filter: { eventTypes: ["form"] }, mode: "live" });
    await fixture.publish([acme({ v: "no", c: "bot" }), acme({ v: "form", e: "form" })]);
    await socket.received(2);
    socket.send({ type: "subscribe", filter: null });
    await socket.when("cleared", () => socket.frames.filter((f) => f.type === "subscribed").length === 2);
    await fixture.publish([acme({ v: "all" })]);
    await socket.received(3);
    expect(socket.visitors()).toEqual(["before-bot", "form", "all"]);
  });

  it("a bad filter is told and changes nothing", async () => {
    const socket = await open();
    socket.send({ type: "subscribe", id: "s1", filter: { classes: ["robots"] } });
    expect(await socket.first("error")).toMatchObject({ id: "s1", error: "invalid_filter" });
    await fixture.publish([acme({ v: "still" })]);
    await socket.received(1);
  });

  it("ping is answered with its timestamp", async () => {
    const socket = await open();
    socket.send({ type: "ping", timestamp: 42 });
    expect(await socket.first("pong")).toEqual({ type: "pong", timestamp: 42 });
  });

  it.each<[string, unknown, Partial<FeedFrame>]>([
    ["F18: publish", { type: "publish", id: "w1", event: {} }, { id: "w1", error: "write_not_allowed" }],
    ["ack without a durable subscription", { type: "ack", id: "a1", cursor: "c1_x" }, { id: "a1", error: "invalid_request" }],
    ["an unknown type", { type: "dance" }, { error: "invalid_request" }],
  ])("%s is answered with an error and the socket stays", async (_name, message, expected) => {
    const socket = await open();
    socket.send(message);
    expect(await socket.first("error")).toMatchObject(expected);
    socket.send({ type: "ping" });
    await socket.first("pong");
  });

  it.each<[string, (socket: FeedSocket) => void, number, string]>([
    ["binary", (socket) => socket.ws.send(Buffer.from([1, 2])), 1003, "unsupported_data"],
    ["not JSON", (socket) => socket.send("hello"), 1008, "policy_violation"],
    ["JSON that is no object", (socket) => socket.send("[1]"), 1008, "policy_violation"],
  ])("%s: one error frame, then the close", async (_name, offend, code, reason) => {
    const socket = await open();
    offend(socket);
    await socket.first("error");
    offend(socket);
    expect(await socket.closed).toEqual({ code, reason });
    expect(socket.frames.filter((frame) => frame.type === "error")).toHaveLength(1);
  });

  it("too many messages: one error frame, then 1008", async () => {
    const socket = await open();
    for (let i = 0; i < 30; i++) socket.send({ type: "pong" });
    expect(await socket.closed).toEqual({ code: 1008, reason: "policy_violation" });
    expect(await socket.first("error")).toMatchObject({ error: "rate_limit_exceeded" });
  });

  it("16 KiB pass, one byte more closes with 1009", async () => {
    const socket = await open();
    const message = JSON.stringify({ type: "ping", timestamp: "" });
    socket.send(message.replace('""', `"${"x".repeat(16_384 - message.length)}"`));
    await socket.first("pong");
    socket.send("x".repeat(16_385));
    expect(await socket.closed).toEqual({ code: 1009, reason: "message_too_big" });
  });
});

it("F17: with interleaved load no tenant ever sees another's event", async () => {
  const views = ["", "&include=cursor,ids", "&min.intent=0", "&dialect=2"];
  const open2 = (tenant: string) => Promise.all(views.map((view) => open(view, tenant)));
  const [mine, theirs] = [await open2("acme"), await open2("globex")];
  const expected = { acme: [] as string[], globex: [] as string[] };
  for (let frame = 0; frame < 60; frame++) {
    const outputs = Array.from({ length: 1 + ((frame * 7) % 9) }, (_, i) => {
      const tenant = (frame + i) % 3 === 0 ? "globex" : "acme";
      const v = `${tenant}-${frame}-${i}`;
      expected[tenant as "acme" | "globex"].push(v);
      return { tenant, ext: { v } };
    });
    await fixture.publish(frame % 2 === 0 ? outputs : outputs.toReversed(), { lane: frame % 16 });
    if (frame % 2 === 1) {
      for (const tenant of ["acme", "globex"] as const) {
        const turned = outputs.filter((output) => output.tenant === tenant).length;
        expected[tenant].push(...expected[tenant].splice(-turned, turned).toReversed());
      }
    }
  }
  await Promise.all(mine.map((socket) => socket.received(expected.acme.length)));
  await Promise.all(theirs.map((socket) => socket.received(expected.globex.length)));
  for (const socket of mine) expect(socket.visitors()).toEqual(expected.acme);
  for (const socket of theirs) expect(socket.visitors()).toEqual(expected.globex);
});

it("a damaged frame is told as a gap, goes to the dead letters, and the rest flows on", async () => {
  const socket = await open();
  await fixture.publish([acme({ v: "one" })]);
  await fixture.publisher.publish("signals.0", '{"v":1,"nonsense');
  await fixture.publish([acme({ v: "two" })]);
  await socket.received(2);
  expect(socket.frames.slice(1).map((frame) => frame.type)).toEqual(["event", "gap", "event"]);
  await until("the dead letter", async () => (await lastMessage(fixture.client, "DLQ", "dlq.edge")) !== undefined);
  expect(await edge.service.metrics.getSingleMetricAsString("headwater_edge_damaged_frames_total")).toMatch(/\} [1-9]/);
});

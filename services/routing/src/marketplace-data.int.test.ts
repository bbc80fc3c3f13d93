/** What flows through a feed over HTTP: push, test, buffer, status, unrouted; with a log written by the test and real topic lanes. */
import { createPublisher, type Publisher, RpcError, serveLaneRequests } from "@headwater/messaging";
import { encodeFeedLine, LANE_COUNT, laneOf, subjects } from "@headwater/protocol";
import { quietLogger, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Answer, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
let publisher: Publisher;
const pushed: Record<string, unknown>[] = [];
let answerPush: () => unknown = () => ({ ts: Date.parse("2026-01-30T15:45:31.456Z") });
const owners: { stop(): void }[] = [];

function ownUpstreams(): void {
  const push = (payload: unknown): unknown => {
    pushed.push(payload as Record<string, unknown>);
    return answerPush();
  };
  for (let lane = 0; lane < LANE_COUNT; lane++) owners.push(serveLaneRequests(routing.nats, "upstreams", lane, { push }, quietLogger()));
}

beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl") });
  publisher = createPublisher(routing.nats);
  ownUpstreams();
}, 60_000);
afterAll(async () => {
  for (const owner of owners) owner.stop();
  await publisher?.close();
  await routing?.stop();
}, 60_000);

const FEEDS = "/api/marketplace/feeds";
const NOBODY = "f".repeat(24);
const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];
const T0 = Date.now() - 60_000;

/** Writes messages as ingest would: JSON source text, or a state. */
async function write(feedId: string, messages: readonly (string | { state: string })[]): Promise<void> {
  const lines = messages.map((given, i) => {
    const head = { feedId, epoch: 1, n: i + 1, ts: T0 + i * 1_000 };
    return typeof given === "string"
      ? encodeFeedLine({ ...head, kind: "json", json: given })
      : encodeFeedLine({ ...head, kind: "state", state: { status: "error", error: given.state, attempt: 2, dropped: { rate: 3 } } });
  });
  await publisher.publish(subjects.lane("feeds", laneOf(feedId)), `${lines.join("\n")}\n`, { msgId: `${feedId}-${messages.length}` });
  await routing.services[0]?.settled();
}

describe("push", () => {
  it("hands the message on as it was written, digits and all", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev, { name: "Weather", eventName: "weather" });
    const body = '{"eventName":"alert","data":{"id":12345678901234567890, "t":1.50},"extra":1}';
    const answer = await routing.call("POST", `${FEEDS}/${id}/data`, { as: dev, body });
    expect(answer.body).toEqual({
      success: true,
      message: "Data submitted",
      data: { feedId: id, feedName: "Weather", eventName: "alert", timestamp: "2026-01-30T15:45:31.456Z", subscribersNotified: true },
    });
    expect(pushed.at(-1)).toEqual({ feedId: id, json: '{"id":12345678901234567890, "t":1.50}', eventName: "alert" });
    for (const data of [0, false, "", [], {}]) {
      const plain = await routing.call("POST", `${FEEDS}/${id}/data`, { as: dev, body: { data } });
      expect(plain.body["data"]).toMatchObject({ eventName: "weather" });
      expect(pushed.at(-1)).toEqual({ feedId: id, json: JSON.stringify(data) });
    }
  });

  it("has every error row", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const id = await routing.feed(dev, { isPublic: true });
    const push = (feedId: string, as: typeof dev | undefined, body: unknown) =>
      routing.call("POST", `${FEEDS}/${feedId}/data`, { body, ...(as === undefined ? {} : { as }) });
    for (const body of [{}, { data: null }, "{", "[]", { data: 1, eventName: 5 }])
      expect(message(await push(id, dev, body))).toEqual([400, "invalid payload"]);
    expect(message(await push(id, other, { data: 1 }))).toEqual([403, "not authorized"]);
    for (const unknown of [NOBODY, "nonsense"]) expect(message(await push(unknown, dev, { data: 1 }))).toEqual([404, "feed not found"]);
    expect(message(await push(id, undefined, { data: 1 }))).toEqual([401, "missing token"]);
    const ok = answerPush;
    try {
      answerPush = () => {
        throw new RpcError("too_large", "payload too large", 413);
      };
      expect(message(await push(id, dev, { data: 1 }))).toEqual([413, "payload too large"]);
      answerPush = () => {
        throw new RpcError("rate_limited", "too many messages", 429);
      };
      expect(message(await push(id, dev, { data: 1 }))).toEqual([429, "Rate limit exceeded. Please try again later."]);
      answerPush = () => {
        throw new RpcError("unavailable", "service unavailable", 503);
      };
      expect(message(await push(id, dev, { data: 1 }))).toEqual([503, "service unavailable"]);
    } finally {
      answerPush = ok;
    }
  });
});

describe("test-feed", () => {
  const TEST = "/api/marketplace/test-feed";
  it("shows the first message as it came, and its topic", async () => {
    const as = routing.caller();
    let asked: unknown;
    routing.ingest.test = (request) => {
      asked = request;
      return { ok: true, sample: '{"s":12345678901234567890}', latencyMs: 12.5 };
    };
    const body = {
      url: "wss://a.example.com",
      headers: [{ key: "X", value: "y" }],
      connectionMessages: [{ a: 1 }],
      topicField: "s",
      dataFormat: "json",
    };
    const answer = await routing.call("POST", TEST, { as, body });
    expect(answer.text).toBe(
      '{"success":true,"data":{"success":true,"sample":{"s":12345678901234567890},"latencyMs":12.5,"topic":"12345678901234567890"}}',
    );
    expect(asked).toEqual({
      url: "wss://a.example.com",
      connectionType: "websocket",
      connectionMessages: ['{"a":1}'],
      eventName: "",
      dataFormat: "json",
      secrets: { queryParams: [], headers: [{ key: "X", value: "y" }] },
    });
    routing.ingest.test = () => ({ ok: true });
    expect((await routing.call("POST", TEST, { as, body })).body).toEqual({ success: true, data: { success: true } });
    routing.ingest.test = () => ({ ok: false, message: "connection refused" });
    const failed = await routing.call("POST", TEST, { as, body });
    expect([failed.status, failed.body]).toEqual([200, { success: false, message: "connection refused" }]);
  });

  it.each([
    ["no url", {}, "invalid payload"],
    ["a number as url", { url: 5 }, "invalid payload"],
    ["no JSON", "{", "invalid payload"],
    ["no address", { url: "nowhere" }, "url is invalid"],
    ["an unknown connection", { url: "wss://a.example.com", connectionType: "smoke" }, "connectionType is invalid"],
    ["a bad topic field", { url: "wss://a.example.com", topicField: "a[" }, "topicField is invalid: missing ]"],
    [
      "protobuf without schema",
      { url: "wss://a.example.com", connectionType: "protobuf" },
      "protobufSchema and protobufType are required for protobuf",
    ],
  ])("%s", async (_name, body, text) => {
    expect(message(await routing.call("POST", TEST, { as: routing.caller(), body }))).toEqual([400, text]);
    expect(message(await routing.call("POST", TEST, { body }))).toEqual([401, "missing token"]);
  });

  it("goes nowhere it must not (W8), and says when nobody can test", async () => {
    const as = routing.caller();
    const verdict = routing.ingest.verdict;
    try {
      routing.ingest.verdict = () => "forbidden";
      expect(message(await routing.call("POST", TEST, { as, body: { url: "wss://internal.example.com" } }))).toEqual([
        400,
        "url is not allowed",
      ]);
      routing.ingest.stop();
      expect(message(await routing.call("POST", TEST, { as, body: { url: "wss://a.example.com" } }))).toEqual([503, "service unavailable"]);
    } finally {
      routing.ingest.verdict = verdict;
      routing.ingest.start();
    }
  });
});

describe("the buffer", () => {
  it("has recent messages, newest first, as they came", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const id = await routing.feed(dev, { isPublic: true, eventName: "tick", bufferTtlMinutes: 5 });
    expect((await routing.call("GET", `${FEEDS}/${id}/buffer`, { as: dev })).body).toEqual({ success: true, data: [], count: 0 });
    await write(id, ['{"n":1}', '{"n":12345678901234567890}', "3"]);
    const answer = await routing.call("GET", `${FEEDS}/${id}/buffer`, { as: other });
    expect(answer.text).toContain('"data":{"n":12345678901234567890}');
    const items = answer.body["data"] as Record<string, unknown>[];
    expect(items.map(({ data }) => JSON.stringify(data))).toEqual(["3", '{"n":12345678901234567000}', '{"n":1}']);
    expect(items[2]).toEqual({
      _id: expect.stringMatching(/^[0-9a-f]{24}$/),
      feedId: id,
      data: { n: 1 },
      eventName: "tick",
      timestamp: new Date(T0).toISOString(),
      expiresAt: new Date(T0 + 300_000).toISOString(),
    });
    expect(new Set(items.map(({ _id }) => _id)).size).toBe(3);
    const since = (value: string) => routing.call("GET", `${FEEDS}/${id}/buffer?since=${value}&limit=2`, { as: dev });
    expect((await since(String(T0 + 2_000))).body["count"]).toBe(1);
    expect((await since(new Date(T0).toISOString())).body["count"]).toBe(2);
    expect(message(await since("yesterday"))).toEqual([400, "invalid payload"]);
    expect(message(await routing.call("GET", `${FEEDS}/${id}/buffer`))).toEqual([401, "missing token"]);
    for (const unknown of [NOBODY, "nonsense"]) {
      expect(message(await routing.call("GET", `${FEEDS}/${unknown}/buffer`, { as: dev }))).toEqual([404, "Feed not found"]);
    }
    await until("the list says when it was active", async () => {
      const { body } = await routing.call("GET", `${FEEDS}/${id}`);
      return (body["data"] as Record<string, unknown>)["lastActiveAt"] === new Date(T0 + 2_000).toISOString();
    });
  });

  it("shows what has no topic to the owner only", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const id = await routing.feed(dev, { isPublic: true, enableTopicRouting: true, topicField: "s" });
    await write(id, ['{"s":"BTC"}', '{"hello":"secret ack"}', '[{"s":"A"},{"x":1}]', { state: "refused" }]);
    const read = async (as: typeof dev, what: string) => await routing.call("GET", `${FEEDS}/${id}/${what}`, { as });
    expect((await read(dev, "buffer")).body["count"]).toBe(3);
    expect((await read(other, "buffer")).body).toMatchObject({ count: 1, data: [{ data: { s: "BTC" } }] });
    const unrouted = await read(dev, "unrouted");
    expect(unrouted.body).toMatchObject({
      success: true,
      count: 2,
      data: [
        { timestamp: new Date(T0 + 2_000).toISOString(), reason: expect.any(String), element: 1, data: [{ s: "A" }, { x: 1 }] },
        { data: { hello: "secret ack" } },
      ],
    });
    const status = await read(dev, "status");
    expect(status.body["data"]).toMatchObject({
      status: "error",
      error: "refused",
      attempt: 2,
      dropped: { rate: 3 },
      lastMessageAt: new Date(T0 + 2_000).toISOString(),
      received: 3,
      routed: 2,
      topics: [
        { topic: "A", lastAt: new Date(T0 + 2_000).toISOString(), count: 1 },
        { topic: "BTC", count: 1 },
      ],
      evicted: 0,
    });
    for (const what of ["status", "unrouted"]) {
      expect(message(await read(other, what))).toEqual([403, "not authorized"]);
      expect(message(await routing.call("GET", `${FEEDS}/${id}/${what}`))).toEqual([401, "missing token"]);
      expect(message(await routing.call("GET", `${FEEDS}/${NOBODY}/${what}`, { as: dev }))).toEqual([404, "Feed not found"]);
    }
  });
});

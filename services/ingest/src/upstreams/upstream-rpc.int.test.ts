/** What routing asks: push, check of a URL, test of a feed. */
import { callLane, callService, RpcError } from "@headwater/messaging";
import { laneOf, type TestFeedRequest } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { feedRecord, startUpstreamHarness, type UpstreamHarness } from "../testing/upstream-harness.ts";
import { MAX_SAMPLE_BYTES } from "./feed-test.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
let h: UpstreamHarness;
beforeAll(async () => {
  h = await startUpstreamHarness();
  await h.start("ingest-0");
  await h.start("ingest-1");
  // Not connected: a push needs no upstream.
  await h.put(feedRecord(FEED, { hasSubscriptions: false, eventName: "tick" }));
});
afterAll(() => h.stop());

const push = (payload: unknown): Promise<unknown> => callLane(h.link, "upstreams", laneOf(FEED), "push", payload, { deadlineMs: 8_000 });
const refusal = async (asked: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof RpcError ? [error.status, error.code] : error;
};

describe("push", () => {
  it("is stored by the lane's owner before it is answered, digits and event name kept", async () => {
    await until("the record is known", async () => (await refusal(push({ feedId: FEED, json: "0" }))) === undefined);
    const answer = await push({ feedId: FEED, json: '{"id":12345678901234567890,\n"a":1}', eventName: "other" });
    await until("the line", () => h.messages(FEED).length >= 2);
    const line = h.lines(FEED).at(-1);
    expect(line).toMatchObject({
      kind: "json",
      json: '{"id":12345678901234567890, "a":1}',
      eventName: "other",
      ts: (answer as { ts: number }).ts,
    });
    await push({ feedId: FEED, json: "1", eventName: "tick" });
    await until("the next", () => h.messages(FEED).at(-1) === "1");
    expect(h.lines(FEED).at(-1)).not.toHaveProperty("eventName");
  });
  it("takes no more elements than the plan's messages", async () => {
    const id = "65f789abc1230a1b2c3d4e60";
    const batch = `[${Array.from({ length: 40_000 }, () => '{"s":"A"}').join(",")}]`;
    await h.put(feedRecord(id, { hasSubscriptions: false, enableTopicRouting: true, topicField: "s" }));
    const pushTo = (json: string): Promise<unknown> =>
      refusal(callLane(h.link, "upstreams", laneOf(id), "push", { feedId: id, json }, { deadlineMs: 8_000 }));
    await until("the record is known", async () => (await pushTo(batch)) === undefined);
    expect(await pushTo('{"s":"A"}')).toEqual([429, "rate_limited"]);
    await h.limit({ feedMessagesPerSecond: 1_000_000 });
    await until("a larger plan has paid it back", async () => (await pushTo('{"s":"B"}')) === undefined);
    // Positions: the array is one message.
    await h.put(feedRecord(FEED, { hasSubscriptions: false, eventName: "tick", enableTopicRouting: true, topicField: "[0].s" }));
    expect([await refusal(push({ feedId: FEED, json: batch })), await refusal(push({ feedId: FEED, json: batch }))]).toEqual([
      undefined,
      undefined,
    ]);
  });
  it.each([
    ["null", { feedId: FEED, json: "null" }, [400, "invalid_payload"]],
    ["no JSON", { feedId: FEED, json: "{" }, [400, "invalid_payload"]],
    ["another shape", { feedId: 1 }, [400, "invalid_payload"]],
    ["an unknown feed", { feedId: "65f789abc1230a1b2c3d4eff", json: "1" }, [404, "not_found"]],
  ])("refuses %s", async (_what, payload, expected) => {
    expect(await refusal(push(payload))).toEqual(expected);
  });
});

describe("check-url", () => {
  it.each([
    ["wss://8.8.8.8/x", "ok"],
    ["ws://127.0.0.1/x", "forbidden"],
    ["https://8.8.8.8/", "invalid"],
  ])("%s is %s", async (url, verdict) => {
    expect(await callService(h.link, "ingest", "check-url", { url, connectionType: "websocket" })).toEqual({ verdict });
  });
  it("refuses another shape", async () => {
    expect(await refusal(callService(h.link, "ingest", "check-url", { url: 1 }))).toEqual([400, "invalid_payload"]);
  });
});

describe("test-feed", () => {
  const request = (path: string, change: Partial<TestFeedRequest> = {}): TestFeedRequest => ({
    url: `${h.upstream.url}${path}`,
    connectionType: "websocket",
    connectionMessages: ["sub"],
    eventName: "message",
    dataFormat: "json",
    secrets: { queryParams: [], headers: [{ key: "x-k", value: "v" }] },
    ...change,
  });
  const test = (payload: TestFeedRequest): Promise<unknown> => callService(h.link, "ingest", "test-feed", payload, { timeoutMs: 15_000 });

  it("answers with the first message and forgets the connection", async () => {
    h.upstream.behave("/t", { afterMessages: 1, frames: ["null", '{"a":12345678901234567890}', "2"] });
    expect(await test(request("/t"))).toEqual({ ok: true, sample: '{"a":12345678901234567890}', latencyMs: expect.any(Number) as number });
    expect(h.upstream.connections("/t")[0]?.headers["x-k"]).toBe("v");
    await until("closed", () => h.upstream.open("/t").length === 0);
    h.upstream.behave("/text", { frames: ["hello"] });
    expect(await test(request("/text"))).toMatchObject({ ok: true, sample: '"hello"' });
  });
  it("does not show more than 64 KiB", async () => {
    h.upstream.behave("/large", { frames: [JSON.stringify("x".repeat(MAX_SAMPLE_BYTES))] });
    expect(await test(request("/large"))).toEqual({ ok: true, latencyMs: expect.any(Number) as number });
  });
  it("waits 10 s for a message, and takes 8 tests at a time", async () => {
    const begin = performance.now();
    const running = Array.from({ length: 20 }, () => test(request("/quiet")));
    const answers = await Promise.all(running);
    expect(performance.now() - begin).toBeGreaterThan(9_900);
    const kinds = answers.map((answer) => JSON.stringify(answer));
    expect(kinds.filter((text) => text === '{"ok":true}').length).toBeLessThanOrEqual(16);
    expect(kinds.filter((text) => text === '{"ok":true}').length).toBeGreaterThanOrEqual(8);
    expect(kinds.filter((text) => text.includes("too many tests")).length).toBeGreaterThanOrEqual(4);
  });
  it.each([
    ["a refusal", "/refused", {}, "handshake was answered with 403"],
    ["a private address", "", { url: "ws://127.0.0.9/" }, "url is not allowed"],
    ["no URL", "", { url: "x" }, "url is invalid"],
    ["a broken schema", "/t", { dataFormat: "protobuf" }, "protobufSchema and protobufType are required"],
  ] as const)("tells %s", async (_what, path, change, message) => {
    h.upstream.behave("/refused", { refuse: 403 });
    expect(await test(request(path, change))).toEqual({ ok: false, message });
  });
});

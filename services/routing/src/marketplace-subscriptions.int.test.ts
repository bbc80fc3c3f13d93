/** Subscriptions on two instances: idempotent, counted exactly, and known to the registry when the first comes and the last leaves. */
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Answer, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl"), instances: 2 });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const API = "/api/marketplace";
const NOBODY = "f".repeat(24);
const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];
const count = async (feedId: string): Promise<unknown> =>
  (await routing.sql<{ n: number }>("SELECT subscriber_count AS n FROM routing.feeds WHERE id = $1", [feedId]))[0]?.n;

describe("subscribe", () => {
  it("answers the documented object, the same one again, and wakes an ended one", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const feedId = await routing.feed(dev, { isPublic: true });
    const first = await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other });
    const subscription = first.body["subscription"] as Record<string, unknown>;
    expect(Object.keys(first.body)).toEqual(["message", "subscription", "success"]);
    expect(first.body).toEqual({ message: "Subscribed", subscription, success: true });
    expect(Object.entries(subscription)).toEqual([
      ["_id", expect.stringMatching(/^(?!0{24})[0-9a-f]{24}$/)],
      ["userId", other.userId],
      ["feedId", feedId],
      ["subscribedAt", expect.stringMatching(/Z$/)],
      ["isActive", true],
    ]);
    expect((await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other, at: 1 })).body).toEqual(first.body);
    expect(await count(feedId)).toBe(2);
    expect(message(await routing.call("POST", `${API}/unsubscribe/${feedId}`, { as: other }))).toEqual([200, "Unsubscribed"]);
    expect(message(await routing.call("POST", `${API}/unsubscribe/${feedId}`, { as: other }))).toEqual([200, "Unsubscribed"]);
    expect(await count(feedId)).toBe(1);
    const again = await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other });
    expect(again.body["subscription"]).toMatchObject({ _id: subscription["_id"], isActive: true });
    expect(await count(feedId)).toBe(2);
  });

  it("end for everybody else when the feed becomes private", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const feedId = await routing.feed(dev, { isPublic: true });
    await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other });
    expect(await count(feedId)).toBe(2);
    await routing.call("PUT", `${API}/feeds/${feedId}`, { as: dev, body: { isPublic: false } });
    await routing.call("PUT", `${API}/feeds/${feedId}`, { as: dev, body: { isPublic: true } });
    expect(await count(feedId)).toBe(1);
    const active = await routing.sql("SELECT 1 FROM routing.subscriptions WHERE feed_id = $1 AND is_active", [feedId]);
    expect(active).toHaveLength(1);
  });
  it("makes one row and one count of many at once (W30)", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const feedId = await routing.feed(dev, { isPublic: true });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => routing.call("POST", `${API}/subscribe/${feedId}`, { as: other, at: i % 2 })),
    );
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await count(feedId)).toBe(2);
    const callers = Array.from({ length: 10 }, () => routing.caller());
    await Promise.all(
      callers.flatMap((as, i) => [
        routing.call("POST", `${API}/subscribe/${feedId}`, { as, at: i % 2 }),
        routing.call("POST", `${API}/subscribe/${feedId}`, { as, at: (i + 1) % 2 }),
      ]),
    );
    expect(await count(feedId)).toBe(12);
    await Promise.all(
      callers.flatMap((as, i) => [0, 1].map((n) => routing.call("POST", `${API}/unsubscribe/${feedId}`, { as, at: (i + n) % 2 }))),
    );
    expect(await count(feedId)).toBe(2);
    const rows = await routing.sql("SELECT user_id FROM routing.subscriptions WHERE feed_id = $1", [feedId]);
    expect(rows).toHaveLength(12);
  });

  it("tells the registry only when there are subscribers or none", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const feedId = await routing.feed(dev, { isPublic: true });
    expect(routing.record(feedId)?.hasSubscriptions).toBe(true);
    await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other });
    await routing.call("POST", `${API}/unsubscribe/${feedId}`, { as: dev });
    await routing.services[0]?.settled();
    expect(routing.told(feedId)).toBe(1);
    await routing.call("POST", `${API}/unsubscribe/${feedId}`, { as: other });
    await until("nobody is left", () => routing.record(feedId)?.hasSubscriptions === false);
    await routing.call("POST", `${API}/subscribe/${feedId}`, { as: other });
    await until("somebody is back", () => routing.record(feedId)?.hasSubscriptions === true);
    expect(routing.told(feedId)).toBe(3);
  });

  it.each([NOBODY, "nonsense", "%00", "a".repeat(300)])("knows no feed %s", async (feedId) => {
    const as = routing.caller();
    expect(message(await routing.call("POST", `${API}/subscribe/${feedId}`, { as }))).toEqual([404, "Feed not found"]);
    expect(message(await routing.call("POST", `${API}/unsubscribe/${feedId}`, { as }))).toEqual([200, "Unsubscribed"]);
    expect(message(await routing.call("PUT", `${API}/subscriptions/${feedId}/settings`, { as, body: {} }))).toEqual([
      404,
      "subscription not found",
    ]);
  });

  it.each([
    ["POST", `${API}/subscribe/${NOBODY}`],
    ["POST", `${API}/unsubscribe/${NOBODY}`],
    ["GET", `${API}/subscriptions`],
    ["PUT", `${API}/subscriptions/${NOBODY}/settings`],
  ])("%s %s needs a token", async (method, path) => {
    expect(message(await routing.call(method, path))).toEqual([401, "missing token"]);
  });
});

describe("the list of subscriptions", () => {
  it("has active ones with their feed; one that became private is no more", async () => {
    const [dev, other] = [routing.caller("Owner"), routing.caller()];
    const [open, later] = [
      await routing.feed(dev, { isPublic: true, name: "Open" }),
      await routing.feed(dev, { isPublic: true, name: "Later" }),
    ];
    for (const id of [open, later]) await routing.call("POST", `${API}/subscribe/${id}`, { as: other });
    const list = await routing.call("GET", `${API}/subscriptions`, { as: other });
    expect(list.body).toMatchObject({ success: true, count: 2 });
    expect(list.body["data"]).toMatchObject([
      { feedId: later, isActive: true, feed: { _id: later, name: "Later", ownerName: "Owner", subscriberCount: 2 } },
      { feedId: open, feed: { name: "Open" } },
    ]);
    await routing.call("PUT", `${API}/feeds/${later}`, { as: dev, body: { isPublic: false } });
    await routing.call("POST", `${API}/unsubscribe/${open}`, { as: other });
    expect((await routing.call("GET", `${API}/subscriptions`, { as: other })).body).toEqual({ success: true, data: [], count: 0 });
    const settings = await routing.call("PUT", `${API}/subscriptions/${later}/settings`, { as: other, body: {} });
    expect(message(settings)).toEqual([404, "subscription not found"]);
    expect((await routing.call("GET", `${API}/subscriptions`, { as: dev })).body["count"]).toBe(2);
  });

  it("keeps settings, one by one, and nothing else of the request (W9)", async () => {
    const dev = routing.caller();
    const feedId = await routing.feed(dev);
    const path = `${API}/subscriptions/${feedId}/settings`;
    const put = (body: unknown) => routing.call("PUT", path, { as: dev, body });
    expect((await put({ customPrompt: "be brief", settings: { notifications: true } })).body).toEqual({
      success: true,
      message: "Subscription updated",
    });
    await put({ settings: { autoConnect: false, userId: "x" }, userId: NOBODY, feedId: NOBODY, isActive: false, _id: NOBODY });
    const [mine] = (await routing.call("GET", `${API}/subscriptions`, { as: dev })).body["data"] as Record<string, unknown>[];
    expect(mine).toMatchObject({
      userId: dev.userId,
      feedId,
      isActive: true,
      customPrompt: "be brief",
      settings: { notifications: true, autoConnect: false },
    });
    for (const body of [
      "[]",
      { customPrompt: 5 },
      { settings: [] },
      { settings: { notifications: "yes" } },
      { customPrompt: "x".repeat(8_001) },
      { customPrompt: "\u0000" },
    ]) {
      expect(message(await put(body))).toEqual([400, "invalid payload"]);
    }
  });
});

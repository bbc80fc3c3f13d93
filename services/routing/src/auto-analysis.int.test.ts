/** Turning the automatic analysis of a feed on and off by request of intelligence, with real PostgreSQL and NATS. */
import { callService } from "@headwater/messaging";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl") });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const toggle = (tenantId: string, feedId: string, enabled: unknown): Promise<unknown> =>
  callService(routing.nats, "routing", "auto-analysis", { tenantId, feedId, enabled });

it("is stored, shown to its owner and told to everybody", async () => {
  const dev = routing.caller();
  const feedId = await routing.feed(dev, { systemPrompt: "keep me" });
  expect(routing.record(feedId)?.autoAnalysis).toBe(false);
  expect(await toggle(dev.tenantId, feedId, true)).toEqual({ feedId, enabled: true });
  await until("told", () => routing.record(feedId)?.autoAnalysis === true);
  expect(routing.record(feedId)).toMatchObject({ systemPrompt: "keep me" });
  const shown = await routing.call("GET", `/api/marketplace/feeds/${feedId}`, { as: dev });
  expect(shown.body["data"]).toMatchObject({ aiAnalysisEnabled: true });
  expect(await toggle(dev.tenantId, feedId, false)).toEqual({ feedId, enabled: false });
  await until("told", () => routing.record(feedId)?.autoAnalysis === false);
});

it("is the owner's to decide", async () => {
  const dev = routing.caller();
  const other = routing.caller();
  const visible = await routing.feed(dev, { isPublic: true });
  const hidden = await routing.feed(dev);
  await expect(toggle(other.tenantId, visible, true)).rejects.toMatchObject({
    code: "forbidden",
    status: 403,
    message: "insufficient permissions",
  });
  const missing = { code: "feed_not_found", status: 404, message: "feed not found" };
  await expect(toggle(other.tenantId, hidden, true)).rejects.toMatchObject(missing);
  await expect(toggle(other.tenantId, "f".repeat(24), true)).rejects.toMatchObject(missing);
  await expect(toggle(other.tenantId, "no id", true)).rejects.toMatchObject(missing);
  await expect(toggle(dev.tenantId, visible, "yes")).rejects.toMatchObject({ code: "invalid_request", status: 400 });
  expect(routing.record(visible)?.autoAnalysis).toBe(false);
});

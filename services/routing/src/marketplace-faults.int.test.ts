/** What callers see while PostgreSQL or NATS is away, and that nothing is lost or told twice when it is back. */
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Answer, type Caller, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
let dev: Caller;
let feedId: string;
beforeAll(async () => {
  routing = await startRoutingFixture({ instances: 2 });
  dev = routing.caller();
  feedId = await routing.feed(dev, { isPublic: true });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const FEEDS = "/api/marketplace/feeds";
const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];

it("keeps a change while the broker is silent, and tells it once when it is back", async () => {
  // The login is known, as it is for everybody who was here a moment ago.
  await routing.call("GET", "/api/marketplace/my-feeds", { as: dev });
  const told = routing.told(feedId);
  await routing.broker.pause();
  try {
    const changed = await routing.call("PUT", `${FEEDS}/${feedId}`, { as: dev, body: { name: "While it was silent" } });
    expect(changed.status).toBe(200);
    expect((await routing.call("GET", `${FEEDS}/${feedId}`, { as: dev })).body["data"]).toMatchObject({ name: "While it was silent" });
    expect(routing.record(feedId)?.name).toBe("Feed");
  } finally {
    routing.broker.resume();
  }
  await until("it is told", () => routing.record(feedId)?.name === "While it was silent", 20_000);
  await Promise.all(routing.services.map((service) => service.settled()));
  expect(routing.told(feedId)).toBe(told + 1);
}, 60_000);

it("says 503 while the database is away, and is back by itself", async () => {
  const paths = [FEEDS, `${FEEDS}/${feedId}`, `${FEEDS}/search?q=feed`, "/api/marketplace/my-feeds", "/api/marketplace/subscriptions"];
  routing.killDatabase();
  const refused: Answer[] = [];
  await until(
    "it is missed everywhere, then answers again everywhere",
    async () => {
      const answers = await Promise.all(paths.map((path) => routing.call("GET", path, { as: dev })));
      for (const answer of answers) expect([200, 404, 503]).toContain(answer.status);
      refused.push(...answers.filter(({ status }) => status === 503));
      return refused.length > 0 && answers.every(({ status }) => status !== 503);
    },
    30_000,
  );
  for (const answer of refused) {
    expect(message(answer)).toEqual([503, "service unavailable"]);
    expect(answer.headers.get("retry-after")).toBe("2");
    expect(answer.text).not.toMatch(/ECONN|terminat|postgres|sql/i);
  }
  await until("health says so", () => routing.services.every((service) => service.health().checks["database"]?.ok === true));
  expect((await routing.call("POST", FEEDS, { as: dev, body: { name: "After", url: "wss://a.example.com" } })).status).toBe(201);
}, 90_000);

/**
 * Tenant isolation over every route: a feed of somebody else that is private, one that never was, and one that is gone are answered alike, byte
 * for byte and header for header but for what changes with every answer. Also: what a feed's owner wrote never breaks a list.
 */
import { until } from "@headwater/testkit";
import fc from "fast-check";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type Answer, type Caller, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
let owner: Caller;
let stranger: Caller;
let hidden: string;
let gone: string;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl") });
  [owner, stranger] = [routing.caller("Owner"), routing.caller("Stranger")];
  hidden = await routing.feed(owner, {
    name: "hidden",
    tags: ["hidden"],
    enableTopicRouting: true,
    topicField: "s",
    headers: [{ key: "X", value: "s3cret" }],
  });
  gone = await routing.feed(owner);
  await routing.call("DELETE", `/api/marketplace/feeds/${gone}`, { as: owner });
  await until("it is gone", () => routing.record(gone) === undefined);
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

/** Every route that takes a feed id. */
const ROUTES: readonly (readonly [method: string, path: (id: string) => string, body?: unknown])[] = [
  ["GET", (id) => `/api/marketplace/feeds/${id}`],
  ["PUT", (id) => `/api/marketplace/feeds/${id}`, { name: "taken" }],
  ["PUT", (id) => `/api/marketplace/feeds/${id}`, { tags: 5 }],
  ["PUT", (id) => `/api/marketplace/feeds/${id}`, { url: "nowhere" }],
  ["DELETE", (id) => `/api/marketplace/feeds/${id}`],
  ["PUT", (id) => `/api/marketplace/feeds/${id}/ai-prompt`, { defaultAIPrompt: "x" }],
  ["PUT", (id) => `/api/marketplace/feeds/${id}/ai-prompt`, { defaultAIPrompt: 5 }],
  ["POST", (id) => `/api/marketplace/feeds/${id}/data`, { data: 1 }],
  ["POST", (id) => `/api/marketplace/feeds/${id}/data`, {}],
  ["GET", (id) => `/api/marketplace/feeds/${id}/buffer`],
  ["GET", (id) => `/api/marketplace/feeds/${id}/buffer?since=nonsense`],
  ["GET", (id) => `/api/marketplace/feeds/${id}/status`],
  ["GET", (id) => `/api/marketplace/feeds/${id}/unrouted`],
  ["POST", (id) => `/api/marketplace/subscribe/${id}`],
  ["POST", (id) => `/api/marketplace/unsubscribe/${id}`],
  ["PUT", (id) => `/api/marketplace/subscriptions/${id}/settings`, { customPrompt: "x" }],
  ["GET", (id) => `/api/marketplace/feeds/search?q=${id}`],
  ["GET", (id) => `/api/marketplace/feeds?q=${id}`],
];
const VOLATILE = new Set(["date", "x-request-id"]);

function seen(answer: Answer, id: string): unknown {
  const headers = [...answer.headers].filter(([name]) => !VOLATILE.has(name)).map(([name, value]) => [name, value.replaceAll(id, "ID")]);
  return { status: answer.status, headers, text: answer.text.replaceAll(id, "ID") };
}

it("cannot tell a foreign feed from one that is not", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ROUTES),
      fc.constantFrom<"stranger" | "nobody">("stranger", "nobody"),
      fc.stringMatching(/^[0-9a-f]{24}$/),
      async ([method, path, body], who, random) => {
        const ask = async (id: string): Promise<unknown> => {
          const as = who === "stranger" ? { as: stranger } : {};
          return seen(await routing.call(method, path(id), { ...as, ...(body === undefined ? {} : { body }) }), id);
        };
        const foreign = await ask(hidden);
        expect(foreign).toEqual(await ask(random));
        expect(foreign).toEqual(await ask(gone));
      },
    ),
    { numRuns: 80 },
  );
  const mine = await routing.call("GET", `/api/marketplace/feeds/${hidden}`, { as: owner });
  expect(mine.body["data"]).toMatchObject({ name: "hidden", subscriberCount: 1 });
}, 60_000);

it("is not given away by lists, counts or order", async () => {
  for (const path of [
    "feeds",
    "feeds/popular?limit=100",
    "feeds/recent?limit=100",
    "feeds/search?q=hidden",
    "feeds?q=hidden",
    "my-feeds",
    "subscriptions",
  ]) {
    const answer = await routing.call("GET", `/api/marketplace/${path}`, { as: stranger });
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain(hidden);
  }
});

it("answers any body with 2xx or 4xx, and lists stay readable (W9)", async () => {
  const id = await routing.feed(owner, { isPublic: true });
  const member = fc.constantFrom(
    "name", "description", "url", "category", "isActive", "isPublic", "connectionType", "connectionMessages", "reconnectionEnabled", "tags",
    "enableTopicRouting", "topicField", "topicPrompts", "queryInterval", "defaultAIPrompt", "headers", "queryParams", "httpConfig", "eventName",
    "dataFormat", "bufferTtlMinutes", "reconnectionDelay", "_id", "createdAt", "isVerified", "subscriberCount", "__proto__", "constructor",
  ); // biome-ignore format: one list
  const anything = fc.dictionary(member, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 });
  // Several under way at once: most of the time of each is the wait for the disk.
  await fc.assert(
    fc.asyncProperty(fc.array(anything, { minLength: 3, maxLength: 3 }), async (bodies) => {
      const making = bodies.map((body) => routing.call("POST", "/api/marketplace/feeds", { as: owner, body }));
      for (const body of bodies) {
        const put = await routing.call("PUT", `/api/marketplace/feeds/${id}`, { as: owner, body });
        expect([200, 400]).toContain(put.status);
      }
      for (const made of await Promise.all(making)) expect([201, 400]).toContain(made.status);
    }),
    { numRuns: 50 },
  );
  for (const path of ["feeds?limit=200", "my-feeds"]) {
    expect((await routing.call("GET", `/api/marketplace/${path}`, { as: owner })).status).toBe(200);
  }
  await routing.services[0]?.settled();
  expect(routing.record(id)).toBeDefined();
}, 60_000);

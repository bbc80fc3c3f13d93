/** Lists and search of feeds: order, paging, literal search, and what private feeds are to others. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Answer, type Caller, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
let dev: Caller;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl") });
  dev = routing.caller();
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const FEEDS = "/api/marketplace/feeds";
const names = (answer: Answer): unknown[] => (answer.body["data"] as { name: string }[]).map(({ name }) => name);
const get = (path: string, as?: Caller): Promise<Answer> => routing.call("GET", path, as === undefined ? {} : { as });
async function feeds(...given: Record<string, unknown>[]): Promise<string[]> {
  const ids: string[] = [];
  for (const [i, more] of given.entries()) ids.push(await routing.feed(dev, { isPublic: true, name: `Feed ${i}`, ...more }));
  return ids;
}

describe("an empty marketplace", () => {
  it.each([FEEDS, `${FEEDS}/popular`, `${FEEDS}/recent`, `${FEEDS}/search?q=nothing`])("%s is a list, never null", async (path) => {
    expect((await get(path)).text).toBe('{"count":0,"data":[],"success":true}');
  });
  it("has no feeds of mine", async () => {
    expect((await get("/api/marketplace/my-feeds", dev)).body).toEqual({ success: true, data: [], count: 0 });
    expect((await get("/api/marketplace/my-feeds")).status).toBe(401);
  });
});

describe("newest first", () => {
  it("filters by category, pages by cursor without repeats, and shows no private feed (W10)", async () => {
    await feeds(
      { category: "paged" },
      { category: "paged" },
      { category: "paged", isPublic: false },
      { category: "paged" },
      { category: "paged" },
    );
    const seen: unknown[] = [];
    let cursor = "";
    for (let pages = 1; ; pages++) {
      const page = await get(`${FEEDS}?category=paged&limit=2&cursor=${cursor}`, dev);
      seen.push(...names(page));
      cursor = String(page.body["nextCursor"] ?? "");
      if (cursor === "") {
        expect(pages).toBe(2);
        break;
      }
    }
    expect(seen).toEqual(["Feed 4", "Feed 3", "Feed 1", "Feed 0"]);
    expect(names(await get("/api/marketplace/my-feeds", dev))).toContain("Feed 2");
    expect(names(await get(`${FEEDS}?category=page`))).toEqual([]);
    expect(names(await get(`${FEEDS}?q=feed%203&category=paged`))).toEqual(["Feed 3"]);
  });
  it.each(["nonsense", "MTIz", "%00", "e30"])("refuses the cursor %s", async (cursor) => {
    const answer = await get(`${FEEDS}?cursor=${cursor}`);
    expect([answer.status, answer.body["message"]]).toEqual([400, "invalid cursor"]);
  });
  it.each([
    "limit=abc",
    "limit=0",
    "limit=-1",
    "limit=1e9",
    "limit=99999999999999999999",
    "limit=",
    "limit=5&limit=7",
    "category=%00",
    "category=",
    "q=%ED%A0%80",
  ])("answers %s", async (query) => {
    for (const list of ["", "/popular", "/recent"]) expect((await get(`${FEEDS}${list}?${query}`)).status).toBe(200);
  });
});

describe("popular and recent", () => {
  it("rank by subscribers, then by age; ten unless asked", async () => {
    const ids = await feeds(...Array.from({ length: 12 }, (_, i) => ({ name: `Ranked ${i}`, category: "ranked" })));
    for (const [i, count] of [
      [3, 2],
      [7, 3],
    ] as const) {
      for (let n = 0; n < count; n++) await routing.call("POST", `/api/marketplace/subscribe/${ids[i]}`, { as: routing.caller() });
    }
    const popular = await get(`${FEEDS}/popular`);
    expect(Object.keys(popular.body)).toEqual(["count", "data", "success"]);
    expect(names(popular)).toHaveLength(10);
    expect(names(popular).slice(0, 3)).toEqual(["Ranked 7", "Ranked 3", "Ranked 11"]);
    expect((popular.body["data"] as { subscriberCount: number }[]).slice(0, 3).map((feed) => feed.subscriberCount)).toEqual([4, 3, 1]);
    expect(names(await get(`${FEEDS}/popular?limit=2`))).toEqual(["Ranked 7", "Ranked 3"]);
    for (const limit of ["abc", "0", "-3", ""]) expect(names(await get(`${FEEDS}/popular?limit=${limit}`))).toHaveLength(10);
    expect(names(await get(`${FEEDS}/recent?limit=3`))).toEqual(["Ranked 11", "Ranked 10", "Ranked 9"]);
    expect(names(await get(`${FEEDS}/recent`))).toHaveLength(10);
  });
});

describe("search", () => {
  it.each(["", "?q=", "?q=%20%20", "?category=finance"])("needs words: %s", async (query) => {
    const answer = await get(`${FEEDS}/search${query}`);
    expect([answer.status, answer.body["message"]]).toEqual([400, "query required"]);
  });

  it("finds in name, description and tags, in that order, in any letter case", async () => {
    await feeds(
      { name: "C", tags: ["zebra"] },
      { name: "B", description: "a ZEBRA crosses" },
      { name: "the Zebra", category: "zoo" },
      { name: "none", url: "wss://zebra.example.com" },
    );
    expect(names(await get(`${FEEDS}/search?q=%20zebrA%20`))).toEqual(["the Zebra", "B", "C"]);
    expect(names(await get(`${FEEDS}/search?q=zebra&category=zoo`))).toEqual(["the Zebra"]);
    expect(names(await get(`${FEEDS}/search?q=zebra&limit=1`))).toEqual(["the Zebra"]);
  });

  it("takes every text literally (W39)", async () => {
    await feeds({ name: "100% real_time (a+)+$ c:\\x" }, { name: "100x realXtime" });
    for (const text of ["%", "_", "(", "(a+)+$", "c:\\x", "100% real_time", "\\"]) {
      expect(names(await get(`${FEEDS}/search?q=${encodeURIComponent(text)}`))).toEqual(["100% real_time (a+)+$ c:\\x"]);
    }
    for (const text of [".*", "[a-z]", "\0", "' OR 1=1 --", "x".repeat(5_000)]) {
      expect(names(await get(`${FEEDS}/search?q=${encodeURIComponent(text)}`))).toEqual([]);
    }
    expect(names(await get(`${FEEDS}/search?q=${"(a".repeat(2_000)}`))).toEqual([]);
  });

  it("shows private feeds to their owner only (W10)", async () => {
    await feeds({ name: "hidden quokka", isPublic: false });
    expect(names(await get(`${FEEDS}/search?q=quokka`, dev))).toEqual(["hidden quokka"]);
    expect(names(await get(`${FEEDS}/search?q=quokka`))).toEqual([]);
    expect(names(await get(`${FEEDS}/search?q=quokka`, routing.caller()))).toEqual([]);
    expect((await routing.call("GET", `${FEEDS}/search?q=quokka`, { headers: { Authorization: "Bearer bad" } })).body["count"]).toBe(0);
  });
});

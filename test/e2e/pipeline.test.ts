/** The pipeline rows of the contract through the public wire: collector in, feed and snapshot out. One system, one tenant per concern. */
import { randomUUID } from "node:crypto";
import { type Standalone, parseOptions, startStandalone } from "@headwater/standalone";
import { makeTempDir, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FeedClient, type FeedFrame, openFeed } from "../support/feed-client.ts";

const temp = makeTempDir("headwater-pipeline");
let system: Standalone;
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

beforeAll(async () => {
  system = await startStandalone(parseOptions(["--port", "0", "--no-demo", "--data-dir", temp.dir], {}, temp.dir), process.env);
}, 120_000);
afterAll(async () => {
  await system?.stop();
  temp.remove();
}, 60_000);

interface Tenant {
  slug: string;
  key: string;
  keyId: string;
  feed(query?: string): Promise<FeedClient>;
  post(
    events: Record<string, unknown>[],
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }>;
}

async function admin(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(`${system.url}/admin/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${system.adminToken}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

async function tenant(options: { type?: string; plan?: string; settings?: Record<string, unknown> } = {}): Promise<Tenant> {
  const slug = `t-${randomUUID().slice(0, 8)}`;
  const made = await admin("POST", "/keys", {
    tenant: slug,
    plan: options.plan ?? "scale",
    scopes: ["events:write", "signals:read"],
    type: options.type ?? "browser",
  });
  if (options.settings) await admin("PUT", `/tenants/${slug}/sites/main`, { settings: options.settings });
  const key = String(made["key"]);
  return {
    slug,
    key,
    keyId: String(made["id"]),
    async feed(query = "") {
      const feed = await openFeed(`${system.url.replace("http", "ws")}/v1/signals/stream${query}`, { headers: { "X-API-Key": key } });
      await feed.frame("hello", (frame) => frame.type === "hello");
      return feed;
    },
    async post(events, headers = {}) {
      const answer = await fetch(`${system.url}/v1/events`, {
        method: "POST",
        headers: { "X-API-Key": key, "Content-Type": "application/json", ...headers },
        body: JSON.stringify({ events, sentAt: Date.now() }),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown>, headers: answer.headers };
    },
  };
}

let counter = 0;
function event(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: "pageview",
    visitorId: `vis_${++counter}_${randomUUID().slice(0, 8)}`,
    sessionId: "sess_1",
    timestamp: Date.now(),
    page: { path: "/", url: "https://x.example/", title: "" },
    device: { userAgent: FIREFOX, viewport: { width: 1, height: 1 } },
    ...change,
  };
}
/** Everything accepted so far has left the pipeline, so what is not in the feed's frames by the marker will never be. */
async function after(t: Tenant, feed: FeedClient): Promise<FeedFrame[]> {
  const marker = event();
  expect((await t.post([{ ...marker, consent: { analytics: true } }])).status).toBe(202);
  await feed.frame("marker", (frame) => frame["visitorId"] === marker["visitorId"]);
  return feed.events().filter((frame) => frame["visitorId"] !== marker["visitorId"]);
}

describe("consent", () => {
  it.each([
    ["denied consent", {}, { consent: { analytics: false } }, {}, "no_consent"],
    ["opt-in preset without consent", { preset: "gdpr_strict" }, {}, {}, "no_consent"],
    ["GPC under cpra", { preset: "cpra" }, {}, { "Sec-GPC": "1" }, "privacy_signal"],
  ])("P1–P3 drops on %s: no frame, no cookie, no snapshot", async (_name, settings, change, headers, reason) => {
    const t = await tenant({ settings });
    const feed = await t.feed();
    const dropped = event(change);
    const answer = await t.post([dropped], headers as Record<string, string>);
    expect([answer.status, answer.body["dropped"], answer.body["dropReasons"]]).toEqual([202, 1, { [reason]: 1 }]);
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(await after(t, feed)).toEqual([]);
    const read = await fetch(`${system.url}/v1/signals/${String(dropped["visitorId"])}`, { headers: { "X-API-Key": t.key } });
    expect([read.status, ((await read.json()) as { error: string }).error]).toEqual([404, "visitor_not_active"]);
    feed.close();
  });

  it("P4 records a transition, publishes nothing of it, and follows it", async () => {
    const t = await tenant({ settings: { preset: "gdpr_strict" } });
    const feed = await t.feed();
    const visitorId = `vis_${randomUUID().slice(0, 12)}`;
    const transition = await t.post([event({ type: "_consent_transition", visitorId, newConsent: { analytics: true }, method: "manual" })]);
    expect([transition.status, transition.body["accepted"]]).toEqual([202, 1]);
    expect((await t.post([event({ visitorId })])).body["accepted"]).toBe(1);
    const frames = await after(t, feed);
    expect(frames.map((frame) => [frame["visitorId"], frame["eventType"]])).toEqual([[visitorId, "pageview"]]);
    feed.close();
  });

  it("P5 (first half) an opted-out visitor's events are dropped, the snapshot is gone, opting in again works", async () => {
    const t = await tenant();
    const feed = await t.feed();
    const visitorId = `vis_${randomUUID().slice(0, 12)}`;
    const optout = (method: string, path = "", body?: unknown) =>
      fetch(`${system.url}/v1/optout${path}`, {
        method,
        headers: { "X-API-Key": t.key, "Content-Type": "application/json" },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
    await t.post([event({ visitorId })]);
    expect((await after(t, feed)).length).toBe(1);
    const out = await optout("POST", "", { visitorId });
    expect(out.status).toBe(202);
    expect((await t.post([event({ visitorId })])).body["dropReasons"]).toEqual({ opted_out: 1 });
    expect((await fetch(`${system.url}/v1/signals/${visitorId}`, { headers: { "X-API-Key": t.key } })).status).toBe(404);
    expect((await optout("DELETE", `/${visitorId}`)).status).toBe(202);
    expect((await t.post([event({ visitorId })])).body["accepted"]).toBe(1);
    feed.close();
  });
});

describe("labels", () => {
  it("P6 tells identification per session, from the identify event on", async () => {
    const t = await tenant();
    const feed = await t.feed();
    const visitorId = `vis_${randomUUID().slice(0, 12)}`;
    await t.post([event({ visitorId })]);
    await t.post([event({ visitorId, type: "identify", customerId: "c1" })]);
    await t.post([event({ visitorId, type: "click", element: { selector: "#a", x: 1, y: 1 } })]);
    await t.post([event({ visitorId, sessionId: "sess_2" })]);
    expect((await after(t, feed)).map((frame) => [frame["eventType"], frame["hasIdentified"]])).toEqual([
      ["pageview", false],
      ["identify", true],
      ["click", true],
      ["pageview", false],
    ]);
    feed.close();
  });

  it("P7 counts the same _eid once", async () => {
    const t = await tenant();
    const feed = await t.feed();
    const once = event({ _eid: randomUUID() });
    expect((await t.post([once])).body).toMatchObject({ accepted: 1, duplicates: 0 });
    expect((await t.post([once])).body).toMatchObject({ duplicates: 1 });
    expect((await after(t, feed)).length).toBe(1);
    feed.close();
  });

  it("P10 sees one rage burst in three clicks of one batch", async () => {
    const t = await tenant();
    const feed = await t.feed();
    const visitorId = `vis_${randomUUID().slice(0, 12)}`;
    const now = Date.now();
    const click = (ms: number) =>
      event({
        visitorId,
        type: "click",
        timestamp: now - 3_000 + ms,
        page: { path: "/product/a", url: "", title: "" },
        element: { selector: "#buy", x: 5, y: 5 },
      });
    await t.post([
      event({ visitorId, timestamp: now - 13_000, page: { path: "/product/a", url: "", title: "" } }),
      click(0),
      click(300),
      click(600),
    ]);
    const last = (await after(t, feed)).at(-1);
    expect(last).toMatchObject({ scores: { frustration: 38 } });
    feed.close();
  });

  it.each([
    ["P11 an e-mail", "/u/jane.doe@example.com/orders", "/u/[email]/orders"],
    [
      "P12 a token",
      "/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U?x=1#y",
      "/reset/[token]",
    ],
  ])("%s is scrubbed from the page", async (_name, path, expected) => {
    const t = await tenant();
    const feed = await t.feed();
    await t.post([event({ page: { path, url: `https://x.example${path}`, title: "" } })]);
    expect((await after(t, feed))[0]?.["page"]).toBe(expected);
    feed.close();
  });

  it.each([
    [
      "P13 an iPad",
      "browser",
      {
        userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
        maxTouchPoints: 5,
      },
      { device: { type: "tablet", os: "iPadOS", isMobile: true } },
    ],
    [
      "P15 Applebot",
      "browser",
      {
        userAgent:
          "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
      },
      { bot: { isBot: true, category: "search_crawler", name: "Applebot" } },
    ],
    ["P14 a backend's library", "server", { userAgent: "python-httpx/0.27.0" }, { bot: { isBot: false } }],
  ])("%s", async (_name, type, device, expected) => {
    const t = await tenant({ type });
    const feed = await t.feed();
    await t.post([event({ device: { viewport: { width: 1, height: 1 }, ...device } })]);
    const frame = (await after(t, feed))[0];
    expect(frame).toMatchObject(expected);
    if (type === "server") expect(frame?.["bot"]).not.toHaveProperty("category");
    feed.close();
  });

  it("P16 labels edge capture without scores or session", async () => {
    const t = await tenant({ type: "server" });
    const feed = await t.feed();
    await t.post([
      event({ sessionId: undefined, device: { userAgent: "Googlebot/2.1", clientPlatform: "edge", viewport: { width: 1, height: 1 } } }),
    ]);
    expect((await after(t, feed))[0]).toMatchObject({ scores: null, sessionId: "", bot: { isBot: true, name: "Googlebot" } });
    feed.close();
  });
});

describe("access", () => {
  it("F19 closes a live socket within five seconds of revocation, and the key posts no more", async () => {
    const t = await tenant();
    const feed = await t.feed();
    await admin("DELETE", `/keys/${t.keyId}`);
    const started = performance.now();
    expect(await feed.closed).toMatchObject({ code: 4003 });
    expect(performance.now() - started).toBeLessThan(5_000);
    await until("posting is refused", async () => (await t.post([event()])).status === 401);
  });

  it("never shows one tenant another's events, cursors or visitors", async () => {
    const [a, b] = [await tenant(), await tenant()];
    const [feedA, feedB] = [await a.feed("?include=cursor"), await b.feed("?include=cursor")];
    const visitorId = `vis_${randomUUID().slice(0, 12)}`;
    await a.post([event({ visitorId })]);
    await after(a, feedA);
    expect(await after(b, feedB)).toEqual([]);
    const foreign = feedA.events()[0]?.["cursor"];
    const answer = async (query: string) => {
      const refused = await openFeed(`${system.url.replace("http", "ws")}/v1/signals/stream?cursor=${query}`, {
        headers: { "X-API-Key": b.key },
      }).then(
        () => "opened",
        (error: Error) => error.message,
      );
      return refused;
    };
    expect(await answer(String(foreign))).toContain("400");
    expect(await answer(String(foreign))).toBe(await answer("c1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    const read = async (id: string) => {
      const got = await fetch(`${system.url}/v1/signals/${id}`, { headers: { "X-API-Key": b.key } });
      return `${got.status} ${await got.text()}`;
    };
    expect(await read(visitorId)).toBe(await read("vis_nobody"));
    feedA.close();
    feedB.close();
  });
});

it("resumes by cursor with exactly what was missed", async () => {
  const t = await tenant();
  const feed = await t.feed("?include=cursor,ids");
  const send = async (n: number) => {
    const ids = Array.from({ length: n }, () => randomUUID());
    await t.post(ids.map((_eid) => event({ _eid })));
    return ids;
  };
  const first = await send(3);
  await feed.frame("first batch", () => feed.events().length >= 3);
  const cursor = String(feed.events().at(-1)?.["cursor"]);
  feed.close();
  await feed.closed;
  const missed = await send(5);
  const again = await t.feed(`?include=cursor,ids&cursor=${cursor}`);
  await again.frame("live", (frame) => frame.type === "live");
  const later = await send(2);
  await again.frame("later batch", () => again.events().length >= 7);
  expect(
    again
      .events()
      .map((frame) => frame["eventId"])
      .toSorted(),
  ).toEqual([...missed, ...later].toSorted());
  expect(again.events().map((frame) => frame["seq"])).toEqual([4, 5, 6, 7, 8, 9, 10]);
  expect(first.length).toBe(3);
  again.close();
});

/**
 * One account through the public port against what belongs to another: on every route of the API document and with every message of the socket,
 * an id of somebody else and an id that never was are answered alike, byte for byte, and nothing of the other account is in any answer.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { socketPayloads } from "@headwater/protocol";
import { startUpstream, type UpstreamServer } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Account, type Answer, type Caller, type FeedsSystem, isObject, memberOf, startFeedsSystem } from "./support/feeds-system.ts";
import { openSocket, type Socket } from "./support/socket.ts";

const ROUNDS = 3;
/** In every text that belongs to the other account; must be in no answer. */
const MARK = `secret${randomBytes(6).toString("hex")}`;

let upstream: UpstreamServer;
let feeds: FeedsSystem;
let other: Account;
let me: Account;
let myKey: string;
/** Ids of the other account, by what they name. */
const theirs = { feed: "", topicFeed: "", deletedFeed: "", key: "", signalsKey: "", session: "", category: "", secret: "" };
const sockets: Socket[] = [];

interface Route {
  method: string;
  path: string;
  parameters: string[];
  hasBody: boolean;
}

/** Every path of the document under `/api` and of account keys. */
const ROUTES: Route[] = Object.entries(documentPaths())
  .filter(([path]) => path.startsWith("/api/") || path.startsWith("/v1/keys"))
  .flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      parameters: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ""),
      hasBody: "requestBody" in operation,
    })),
  );

function documentPaths(): Record<string, Record<string, object>> {
  const file = fileURLToPath(import.meta.resolve("@headwater/protocol/openapi.json"));
  return (JSON.parse(readFileSync(file, "utf8")) as { paths: Record<string, Record<string, object>> }).paths;
}

beforeAll(async () => {
  upstream = await startUpstream();
  feeds = await startFeedsSystem(upstream);
  [other, me] = await Promise.all([feeds.register(MARK), feeds.register("me")]);
  myKey = (await me.createKey("mine")).key;
  const url = `${upstream.url}/${MARK}`;
  const feed = { name: MARK, description: MARK, category: MARK, tags: [MARK], url, headers: [{ key: "X-Token", value: MARK }] };
  theirs.feed = await other.createFeed(feed);
  theirs.topicFeed = await other.createFeed({ ...feed, enableTopicRouting: true, topicField: "s", connectionMessages: [MARK] });
  theirs.deletedFeed = await other.createFeed(feed);
  await other.ok("DELETE", `/api/marketplace/feeds/${theirs.deletedFeed}`);
  theirs.key = (await other.createKey(MARK)).id;
  const made = await other.ok("POST", "/v1/keys", { name: `${MARK} 2`, scopes: ["websocket:subscribe"] });
  theirs.signalsKey = memberOf(made, "apiKey", "_id");
  const { sessions } = await other.ok("GET", "/api/auth/sessions");
  theirs.session = memberOf(Array.isArray(sessions) ? sessions[0] : undefined, "_id");
  theirs.category = `c${MARK}`;
  await other.ok("POST", "/api/settings/user/categories", { key: theirs.category, label: MARK });
  theirs.secret = `S_${MARK}`;
  await other.ok("PUT", `/api/settings/user/secrets/${theirs.secret}`, { value: MARK });
});
afterAll(async () => {
  for (const socket of sockets) socket.cut();
  await feeds?.stop();
  await upstream?.stop();
});

const randomId = (): string => randomBytes(12).toString("hex");

/** What may stand in for a path parameter of a route: an id of the other account, and one like it that never was. */
function pairsOf(route: Route): [foreign: string, unknown: string][] {
  if (route.path.includes("/sessions/")) return [[theirs.session, randomId()]];
  if (route.path.includes("/api-keys/")) return [[theirs.key, randomId()], [theirs.signalsKey, randomId()]]; // biome-ignore format: one row
  if (route.path.startsWith("/v1/keys/")) return [[theirs.key, randomId()], [theirs.signalsKey, randomId()]]; // biome-ignore format: one row
  // Names are free to everybody: to set one without a value is refused, or it would be the caller's own from then on.
  if (route.path.includes("/secrets/")) return [[theirs.secret, `S_secret${randomBytes(6).toString("hex")}`]];
  if (route.path.startsWith("/api/settings/")) return [[theirs.category, `csecret${randomBytes(6).toString("hex")}`]];
  return [theirs.feed, theirs.topicFeed, theirs.deletedFeed].map((id) => [id, randomId()]);
}

/** Bodies that pass validation where the id is right, and some that do not. */
const BODIES: Record<string, unknown>[] = [
  {
    name: "x", label: "x", url: "wss://example.com/", isPublic: true, isActive: false, defaultAIPrompt: "x", customPrompt: "x", data: { a: 1 },
    eventName: "x", settings: { notifications: false }, topicPrompts: null,
  }, // biome-ignore format: one literal
  {},
  { name: 5, label: 5, data: null, defaultAIPrompt: 5, customPrompt: 5, url: "x" },
];

const QUERIES = ["", "?limit=5", "?since=2020-01-01T00:00:00Z"];

/** Headers that no two answers share. */
const VARYING = new Set(["date", "x-request-id", "etag"]);

function shown(answer: Answer, id: string): unknown {
  const headers = [...answer.headers].filter(([name]) => !VARYING.has(name)).map(([name, value]) => [name, value.replaceAll(id, "<id>")]);
  return { status: answer.status, headers, text: answer.text.replaceAll(id, "<id>") };
}

async function bothAlike(caller: Caller, route: Route, [foreign, unknown]: [string, string], query: string, body?: unknown): Promise<void> {
  const send = (id: string): Promise<Answer> => caller.call(route.method, route.path.replace(/\{\w+\}/, id) + query, body);
  const [told, untold] = [await send(foreign), await send(unknown)];
  const where = `${route.method} ${route.path}${query} ${JSON.stringify(body)}`;
  expect(shown(told, foreign), where).toEqual(shown(untold, unknown));
  expect(told.status, where).not.toBe(500);
  expect(told.text.replaceAll(foreign, ""), where).not.toContain(MARK);
  expect([...told.headers].join(" ").replaceAll(foreign, ""), where).not.toContain(MARK);
}

describe("REST", () => {
  it("knows routes with ids of every kind", () => {
    const withId = ROUTES.filter(({ parameters }) => parameters.length > 0);
    expect(withId.length).toBeGreaterThanOrEqual(15);
    // One id a route: the test puts it there.
    expect(withId.every(({ parameters }) => parameters.length === 1)).toBe(true);
  });

  it("would notice: to its owner a feed is no stranger", async () => {
    const route = { method: "GET", path: "/api/marketplace/feeds/{id}", parameters: ["id"], hasBody: false };
    await expect(bothAlike(other, route, [theirs.feed, randomId()], "")).rejects.toThrow(/toEqual|equal/);
  });

  it.each(ROUTES.filter(({ parameters }) => parameters.length > 0))(
    "$method $path: an id of somebody else is no different from one that never was",
    async (route) => {
      for (const caller of [me, feeds.nobody]) {
        for (let round = 0; round < ROUNDS; round++) {
          for (const pair of pairsOf(route)) {
            const query = route.method === "GET" ? (QUERIES[round] ?? "") : "";
            await bothAlike(caller, route, pair, query, route.hasBody ? BODIES[round] : undefined);
          }
        }
      }
    },
  );

  it.each(ROUTES.filter(({ parameters, method }) => parameters.length === 0 && method === "GET"))(
    "$method $path shows nothing of somebody else",
    async (route) => {
      for (const caller of [me, feeds.nobody]) {
        for (const query of ["", "?limit=100", `?q=${MARK}`, `?category=${MARK}`, `?q=${MARK}&category=${MARK}`]) {
          const answer = await caller.call(route.method, route.path + query);
          expect(answer.status).not.toBe(500);
          expect(answer.text).not.toContain(MARK);
          for (const id of Object.values(theirs)) expect(answer.text).not.toContain(id);
        }
      }
    },
  );

  it("a token, a feed and a name of somebody else in a body change nothing", async () => {
    const claims = {
      _id: theirs.feed,
      id: theirs.feed,
      feedId: theirs.feed,
      userId: other.userId,
      ownerId: other.userId,
      tenantId: other.userId,
    };
    const id = await me.createFeed({ name: "mine", url: `${upstream.url}/mine`, isPublic: false, ...claims });
    expect(id).not.toBe(theirs.feed);
    const mine = await me.ok("PUT", `/api/marketplace/feeds/${id}`, { ...claims, description: "x" });
    expect(mine).toMatchObject({ data: { _id: id, userId: me.userId } });
    expect((await other.call("GET", `/api/marketplace/feeds/${id}`)).status).toBe(404);
    // A key of the same name as a key of somebody else is no conflict.
    await me.createKey(MARK);
  });

  it("what is public shows nothing that only its owner may see", async () => {
    const secret = `owner-only-${randomBytes(6).toString("hex")}`;
    const id = await other.createFeed({
      name: "public", url: `${upstream.url}/public`, isPublic: true, headers: [{ key: "X-Token", value: secret }],
      queryParams: [{ key: "token", value: secret }], connectionMessage: secret,
    }); // biome-ignore format: one literal
    expect((await other.call("GET", `/api/marketplace/feeds/${id}`)).text).toContain(secret);
    for (const caller of [me, feeds.nobody]) {
      for (const path of [`/feeds/${id}`, "/feeds", "/feeds/recent", "/feeds/popular", "/feeds/search?q=public", "/subscriptions"]) {
        const answer = await caller.call("GET", `/api/marketplace${path}`);
        expect(answer.text, path).not.toContain(secret);
      }
    }
    await me.ok("POST", `/api/marketplace/subscribe/${id}`);
    const listed = await me.call("GET", "/api/marketplace/subscriptions");
    expect(listed.text).toContain(id);
    expect(listed.text).not.toContain(secret);
    // Visible, but not mine.
    for (const [method, path] of [["PUT", ""], ["DELETE", ""], ["PUT", "/ai-prompt"], ["GET", "/status"], ["GET", "/unrouted"], ["POST", "/data"]]) {
      const answer = await me.call(String(method), `/api/marketplace/feeds/${id}${path}`, method === "GET" ? undefined : { ...BODIES[0] });
      expect([path, answer.status, answer.body["message"]]).toEqual([path, 403, "not authorized"]);
    } // biome-ignore format: one table
  });

  it("everything of the other account is as it was", async () => {
    const feed = await other.ok("GET", `/api/marketplace/feeds/${theirs.feed}`);
    expect(feed).toMatchObject({ data: { name: MARK, description: MARK, isPublic: false, isActive: true, subscriberCount: 1 } });
    expect(await other.ok("GET", "/api/auth/me")).toMatchObject({ success: true });
    const { apiKeys } = await other.ok("GET", "/v1/keys");
    expect(Array.isArray(apiKeys) && apiKeys.length).toBe(2);
    expect(await other.ok("GET", "/api/marketplace/subscriptions")).toMatchObject({ count: 3 });
    expect((await other.call("GET", "/api/settings/user/categories")).text).toContain(theirs.category);
    expect((await other.call("GET", "/api/settings/user/secrets")).text).toContain(theirs.secret);
  });
});

describe("/ws", () => {
  /** A payload per message type, around an id. */
  const PAYLOADS: { [type in keyof typeof socketPayloads]: (id: string) => unknown } = {
    authenticate: (id) => ({ token: id }),
    "register-user": (id) => ({ userId: id }),
    "subscribe-feed": (feedId) => ({ feedId, userId: other.userId }),
    "subscribe-topic": (feedId) => ({ feedId, topic: "A", include: ["data"], since: 0, userId: other.userId }),
    "subscribe-llm": (feedId) => ({ feedId }),
    "subscribe-all": (feedId) => ({ feedId, since: 0 }),
    "unsubscribe-feed": (feedId) => ({ feedId }),
    "unsubscribe-topic": (feedId) => ({ feedId, topic: "A" }),
    "llm-query": (feedId) => ({ feedId, question: "?", requestId: "r" }),
    "llm-query-stream": (feedId) => ({ feedId, question: "?", requestId: 7 }),
    "toggle-auto-analysis": (feedId) => ({ feedId, enabled: true }),
    "analyze-crypto": (feedId) => ({ feedId }),
    "analyze-universal-feed": (feedId) => ({ feedId, analysisId: "a" }),
    resume: (id) => ({ cursor: id }),
    ping: (id) => ({ id }),
  };
  const STATES: Record<string, () => unknown[]> = {
    anonymous: () => [],
    registered: () => [{ type: "register-user", payload: { userId: other.userId } }],
    login: () => [{ type: "authenticate", payload: { token: me.token } }],
    "API key": () => [{ type: "authenticate", payload: { apiKey: myKey } }],
  };

  it.each(Object.keys(STATES))("%s: every message about a feed of somebody else is answered like one about no feed", async (state) => {
    for (const foreign of [theirs.feed, theirs.topicFeed, theirs.deletedFeed]) {
      const unknown = randomId();
      const answers = async (id: string): Promise<string[]> => {
        const socket = await openSocket(feeds.wsUrl);
        sockets.push(socket);
        await socket.ask(...(STATES[state]?.() ?? []));
        const texts: string[] = [];
        for (const [type, payload] of Object.entries(PAYLOADS)) {
          // A credential that is none would end the state; it is in the test of credentials below.
          if (type === "authenticate" || type === "register-user" || type === "resume") continue;
          const got = await socket.ask({ type, payload: payload(id) });
          texts.push(`${type}: ${got.map(({ text }) => text.replaceAll(id, "<id>")).join(" ")}`);
        }
        // With cursors on, too; one that was made up is not proof of anything.
        for (const message of [
          { type: "resume", payload: {} },
          { type: "subscribe-feed", payload: { feedId: id, cursor: "AAAA" } },
          { type: "subscribe-topic", payload: { feedId: id, topic: 1, cursor: "AAAA" } },
        ]) {
          texts.push((await socket.ask(message)).map(({ text }) => text.replaceAll(id, "<id>")).join(" "));
        }
        expect(texts.join("\n")).not.toContain(MARK);
        await socket.close();
        return texts;
      };
      expect(await answers(foreign)).toEqual(await answers(unknown));
    }
  });

  it("ids of somebody else are no credentials", async () => {
    for (const id of [theirs.key, theirs.session, other.userId, theirs.signalsKey]) {
      const socket = await openSocket(feeds.wsUrl);
      sockets.push(socket);
      const unknown = randomId();
      for (const payload of [(text: string) => ({ token: text }), (text: string) => ({ apiKey: text })]) {
        const [told, untold] = [
          await socket.answer({ type: "authenticate", payload: payload(id) }),
          await socket.answer({ type: "authenticate", payload: payload(unknown) }),
        ];
        expect(told.text.replaceAll(id, "<id>")).toBe(untold.text.replaceAll(unknown, "<id>"));
        expect(told.type).toBe("auth_error");
      }
    }
  });

  it("data of somebody else's feed reaches its owner alone, whoever asked for it", async () => {
    const watchers = await Promise.all(
      Object.keys(STATES).map(async (state) => {
        const socket = await openSocket(feeds.wsUrl);
        sockets.push(socket);
        await socket.ask(...(STATES[state]?.() ?? []));
        for (const id of [theirs.feed, theirs.topicFeed]) {
          for (const type of ["subscribe-feed", "subscribe-topic", "subscribe-llm", "subscribe-all"] as const) {
            await socket.ask({ type, payload: PAYLOADS[type](id) });
          }
        }
        return socket;
      }),
    );
    const owner = await openSocket(feeds.wsUrl);
    sockets.push(owner);
    await owner.ask({ type: "authenticate", payload: { token: other.token } });
    await owner.ask(
      { type: "subscribe-feed", payload: { feedId: theirs.feed } },
      { type: "subscribe-topic", payload: { feedId: theirs.topicFeed, topic: "A", include: ["data"] } },
    );
    await other.ok("POST", `/api/marketplace/feeds/${theirs.feed}/data`, { data: { text: MARK } });
    await other.ok("POST", `/api/marketplace/feeds/${theirs.topicFeed}/data`, { data: { s: "A", text: MARK } });
    await owner.when("both", () => owner.of("feed-data").length > 0 && owner.of("topic-data").length > 0);
    for (const socket of watchers) {
      await socket.ask();
      for (const { text } of socket.frames) expect(text).not.toContain(MARK);
      expect(socket.frames.filter(({ type }) => ["feed-data", "topic-data", "feed-status", "feed-deleted"].includes(type))).toEqual([]);
    }
  });

  it("a public feed that becomes private is lost at once, and is then like one that never was", async () => {
    const id = await other.createFeed({ name: "was public", url: `${upstream.url}/was-public`, isPublic: true });
    const socket = await openSocket(feeds.wsUrl);
    sockets.push(socket);
    await socket.ask({ type: "authenticate", payload: { token: me.token } });
    expect(await socket.answer({ type: "subscribe-feed", payload: { feedId: id } })).toMatchObject({ type: "subscription-success" });
    await other.ok("PUT", `/api/marketplace/feeds/${id}`, { isPublic: false });
    const lost = await socket.frame("lost", ({ type }) => type === "subscription-error");
    expect(lost.payload).toEqual({ error: "feed not found", feedId: id });
    const unknown = randomId();
    const ask = async (feedId: string): Promise<string> =>
      (await socket.answer({ type: "subscribe-feed", payload: { feedId } })).text.replaceAll(feedId, "<id>");
    expect(await ask(id)).toBe(await ask(unknown));
    const route = { method: "GET", path: "/api/marketplace/feeds/{id}", parameters: ["id"], hasBody: false };
    await bothAlike(me, route, [id, unknown], "");
    const listed = await me.ok("GET", "/api/marketplace/feeds?limit=100");
    expect(Array.isArray(listed["data"]) && listed["data"].some((feed) => isObject(feed) && feed["_id"] === id)).toBe(false);
  });
});

/** `authenticate` with `sessionId`: what a socket listened to comes back within a minute, on any edge, to its own account only. */
import { fork } from "node:child_process";
import path from "node:path";
import { serveRequests, StreamMissing, streamState } from "@headwater/messaging";
import { type KeptFeed, type SocketSessionRecord, subjects } from "@headwater/protocol";
import { movableClock, quietLogger, until } from "@headwater/testkit";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createSocketSessionStore, type SocketSessionStore } from "./adapters/socket-session-store.ts";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const RAW = "65f456abc1230a1b2c3d4e01";
const TOPICS = "65f456abc1230a1b2c3d4e03";
const PUBLIC = "65f456abc1230a1b2c3d4e05";

let fixture: EdgeFixture;
let store: SocketSessionStore;
let edge: RunningEdge;
let other: RunningEdge;
const sockets: SocketClient[] = [];
let sessions = 0;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  store = storeOf(fixture);
  edge = await fixture.startEdge({ config: { WS_MAX_MESSAGES_PER_SECOND: 10_000, WS_MESSAGE_BURST: 10_000 } });
  other = await fixture.startEdge({ instanceId: "edge-1" });
  fixture.addSession("jwt", "acme");
  fixture.addSession("foreign", "other");
  await fixture.addFeed(RAW, "acme");
  await fixture.addFeed(TOPICS, "acme", { enableTopicRouting: true, topicField: "s" });
  await fixture.addFeed(PUBLIC, "other", { isPublic: true });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
const frame = (type: string, payload: unknown) => JSON.stringify({ type, payload });
const newId = () => `tab ${++sessions}`;
const login = (sessionId?: unknown, credential: object = { token: "jwt" }) => msg("authenticate", { ...credential, sessionId });
const welcome = (sessionId: string, restored: number, of: { userId?: string; authType?: string } = {}) =>
  frame("authenticated", { userId: "user_acme", authType: "jwt", ...of, sessionId, restored });
const success = (feedId: string, type: string, topic?: string) => frame("subscription-success", { feedId, topic, type });
const failure = (error: string, feedId: string, topic?: string) => frame("subscription-error", { error, feedId, topic });
const gap = (feedId: string, topic?: string) => frame("gap", { feedId, topic, reason: "retention" });
const raw = (...values: number[]) => values.map((value) => ({ feedId: RAW, data: String(value) }));
const data = (socket: SocketClient, type = "feed-data") => socket.of(type).map((received) => received.payload["data"]);

async function open(url = edge.url): Promise<SocketClient> {
  const socket = await openSocket(url);
  sockets.push(socket);
  return socket;
}
/** A new socket's answers to `authenticate`, and everything that comes with them. */
async function come(sessionId: string, url = edge.url, credential?: object): Promise<{ socket: SocketClient; texts: string[] }> {
  const socket = await open(url);
  return { socket, texts: await socket.ask(login(sessionId, credential)) };
}
const feed = (id: string, kept: Partial<KeptFeed>): KeptFeed => ({ id, raw: false, llm: false, topics: [], dataTopics: [], ...kept });
const record = async (sessionId: string, userId = "user_acme", tenantId = "acme"): Promise<SocketSessionRecord | undefined> =>
  (await store.read(store.keyOf({ tenantId, userId }, sessionId))).record;
const kept = (sessionId: string, ...feeds: KeptFeed[]) =>
  until(`${sessionId} is kept`, async () => JSON.stringify((await record(sessionId))?.feeds) === JSON.stringify(feeds));
/** Everything a session can hold. */
async function listenToAll(sessionId: string, url = edge.url): Promise<SocketClient> {
  const { socket, texts } = await come(sessionId, url);
  expect(texts).toEqual([welcome(sessionId, 0)]);
  await socket.ask(
    msg("subscribe-all", { feedId: RAW }),
    msg("subscribe-topic", { feedId: TOPICS, topic: "silent" }),
    msg("subscribe-topic", { feedId: TOPICS, topic: "x", include: ["data"] }),
  );
  await kept(sessionId, ...ALL);
  return socket;
}
const ALL = [feed(RAW, { raw: true, llm: true }), feed(TOPICS, { topics: ["silent"], dataTopics: ["x"] })];
const ALL_AGAIN = [
  success(RAW, "feed-data"),
  gap(RAW),
  success(RAW, "llm-only"),
  success(TOPICS, "topic", "x"),
  gap(TOPICS, "x"),
  success(TOPICS, "topic", "silent"),
];

describe("comes back", () => {
  it("on another edge, with a gap where data was, then live; what was unsubscribed does not", async () => {
    const id = newId();
    const first = await listenToAll(id);
    await first.ask(
      msg("subscribe-feed", { feedId: PUBLIC }),
      msg("subscribe-topic", { feedId: TOPICS, topic: "gone", include: ["data"] }),
      msg("unsubscribe-feed", { feedId: PUBLIC }),
      msg("unsubscribe-topic", { feedId: TOPICS, topic: "gone" }),
    );
    first.ws.terminate();
    await fixture.publishTopics(raw(1));
    await kept(id, ...ALL);
    const { socket, texts } = await come(id, other.url);
    expect(texts).toEqual([welcome(id, 4), ...ALL_AGAIN]);
    await fixture.publishTopics([...raw(2), { feedId: TOPICS, topic: "x", data: "3" }, { feedId: TOPICS, topic: "silent", data: "4" }]);
    await fixture.publishAnalyses([
      { feedId: TOPICS, topic: "silent", text: "5" },
      { feedId: RAW, text: "6" },
    ]);
    await socket.received("llm-broadcast", 1);
    await socket.received("llm-intelligence", 1);
    await socket.received("topic-data", 1);
    expect([data(socket), data(socket, "topic-data")]).toEqual([[2], [3]]);
    expect(socket.of("feed-data")[0]).not.toHaveProperty("cursor");
  });

  it("after the cursor of `resume`, without gap or repeat; cursors go on", async () => {
    const id = newId();
    const { socket: first } = await come(id);
    await first.ask(msg("resume"), msg("subscribe-feed", { feedId: RAW }), msg("subscribe-feed", { feedId: PUBLIC }));
    await fixture.publishTopics(raw(1, 2, 3));
    const [, second] = await first.received("feed-data", 3);
    await kept(id, feed(RAW, { raw: true }), feed(PUBLIC, { raw: true }));
    await first.close();
    await fixture.publishTopics(raw(4));
    const socket = await open(other.url);
    const texts = await socket.ask(msg("resume", { cursor: second?.cursor }), login(id));
    // The cursor is one feed's; of the other nobody knows.
    expect(texts.slice(0, 3)).toEqual(['{"type":"resumed","payload":{}}', welcome(id, 2), success(RAW, "feed-data")]);
    expect(socket.of("gap").map(({ payload }) => payload["feedId"])).toEqual([PUBLIC]);
    await fixture.publishTopics(raw(5));
    await socket.received("feed-data", 3);
    expect(data(socket)).toEqual([3, 4, 5]);
    await kept(id, feed(RAW, { raw: true }), feed(PUBLIC, { raw: true }));
    await socket.close();
    const { socket: last } = await come(id);
    await fixture.publishTopics(raw(6));
    const [received] = await last.received("feed-data", 1);
    expect([received?.payload["data"], typeof received?.cursor]).toEqual([6, "string"]);
  });

  it("after kill -9 of its edge", async () => {
    const id = newId();
    const auth = serveRequests(fixture.client, {
      name: "auth",
      version: "1.0.0",
      description: "test",
      instanceId: "auth-0",
      metadata: {},
      statsData: () => ({}),
      endpoints: { session: () => fixture.sessions.get("jwt"), verify: () => ({ ok: false, code: "invalid" }) },
      log: quietLogger(),
    });
    await fixture.client.flush();
    const secret = "s".repeat(32);
    const child = fork(path.join(import.meta.dirname, "main.ts"), {
      env: {
        NATS_URL: fixture.nats.url,
        NATS_PASSWORD: "test",
        HEADWATER_PROFILE: "laptop",
        LOG_LEVEL: "silent",
        KEY_PEPPER: secret,
        CURSOR_KEY: "c".repeat(32),
        PRIVACY_KEY: secret,
        HEADWATER_ADMIN_TOKEN: secret,
        JWT_SECRET: secret,
        ENCRYPTION_KEY: secret,
      },
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    try {
      const port = await new Promise<number>((resolve, reject) => {
        child.once("message", (ready: { port: number }) => resolve(ready.port));
        child.once("exit", () => reject(new Error("the edge did not start")));
      });
      const socket = await open(`ws://127.0.0.1:${port}`);
      expect(await socket.ask(login(id, { token: "a.b.c" }))).toEqual([welcome(id, 0)]);
      await socket.ask(msg("subscribe-feed", { feedId: RAW }), msg("subscribe-topic", { feedId: TOPICS, topic: "x", include: ["data"] }));
      await kept(id, feed(RAW, { raw: true }), feed(TOPICS, { dataTopics: ["x"] }));
      child.kill("SIGKILL");
      expect((await socket.closed).code).toBe(1006);
    } finally {
      child.kill("SIGKILL");
      await exited;
      auth.stop();
    }
    const { texts } = await come(id);
    expect(texts).toEqual([welcome(id, 2), success(RAW, "feed-data"), gap(RAW), success(TOPICS, "topic", "x"), gap(TOPICS, "x")]);
  });

  it("after a clean stop of its edge", async () => {
    const id = newId();
    const stopping = await fixture.startEdge({ instanceId: "edge-stopping" });
    const { socket } = await come(id, stopping.url);
    await socket.ask(msg("subscribe-feed", { feedId: RAW }));
    // Said too late to be written by itself.
    await stopping.stop();
    await socket.closed;
    expect((await come(id)).texts).toEqual([welcome(id, 1), success(RAW, "feed-data"), gap(RAW)]);
  });

  it("for 60 s after the socket", async () => {
    const clock = movableClock();
    const late = await fixture.startEdge({ instanceId: "edge-late", clock });
    const id = newId();
    await (await listenToAll(id, late.url)).close();
    const closedAt = Date.now();
    await until("its end is kept", async () => ((await record(id))?.at ?? 0) > closedAt - 2_000);
    clock.advance(50_000);
    const second = await come(id, late.url);
    expect(second.texts).toEqual([welcome(id, 4), ...ALL_AGAIN]);
    await second.socket.close();
    await kept(id, ...ALL);
    clock.advance(61_000);
    expect((await come(id, late.url)).texts).toEqual([welcome(id, 0)]);
    await late.stop();
  });
});

describe("is judged as of now", () => {
  it("scope, visibility, topics and number of subscriptions", async () => {
    fixture.addKey("narrow", "acme", "free", { userId: "user_acme", scopes: ["websocket:topic"] });
    fixture.addSession("small", "acme", { limits: { feedSubscriptionsPerSocket: 2 } });
    const id = newId();
    await (await listenToAll(id)).close();
    const narrow = await come(id, other.url, { apiKey: "narrow" });
    const forbidden = "insufficient permissions";
    expect(narrow.texts).toEqual([
      welcome(id, 2, { authType: "apikey" }),
      failure(forbidden, RAW),
      failure(forbidden, RAW),
      ...ALL_AGAIN.slice(3),
    ]);
    await kept(id, feed(TOPICS, { topics: ["silent"], dataTopics: ["x"] }));
    const again = newId();
    await (await listenToAll(again)).close();
    expect((await come(again, other.url, { token: "small" })).texts).toEqual([
      welcome(again, 2),
      ...ALL_AGAIN.slice(0, 3),
      failure("too many subscriptions", TOPICS, "x"),
      failure("too many subscriptions", TOPICS, "silent"),
    ]);
  });

  it("a feed that was deleted or is hidden now", async () => {
    const [hidden, deleted] = ["65f456abc1230a1b2c3d4e11", "65f456abc1230a1b2c3d4e12"];
    for (const feedId of [hidden, deleted]) await fixture.addFeed(feedId, "other", { isPublic: true });
    const id = newId();
    const { socket } = await come(id);
    await socket.ask(...[hidden, deleted].map((feedId) => msg("subscribe-feed", { feedId })));
    await kept(id, feed(hidden, { raw: true }), feed(deleted, { raw: true }));
    await socket.close();
    await fixture.addFeed(hidden, "other");
    await fixture.removeFeed(deleted);
    expect((await come(id)).texts).toEqual([welcome(id, 0), failure("feed not found", hidden), failure("feed not found", deleted)]);
  });

  it("a credential that was revoked gets nothing", async () => {
    fixture.addKey("revoked", "acme", "free", { userId: "user_acme", scopes: ["websocket:*"] });
    const id = newId();
    const { socket } = await come(id, edge.url, { apiKey: "revoked" });
    await socket.ask(msg("subscribe-feed", { feedId: RAW }));
    await kept(id, feed(RAW, { raw: true }));
    const seq = await fixture.register("key", "id_revoked", {
      id: "id_revoked",
      tenantId: "acme",
      name: "k",
      type: "server",
      hint: "ts_live_",
      scopes: ["websocket:*"],
      domains: [],
      createdAt: "2026-01-01T00:00:00Z",
      expiresAt: null,
      revokedAt: "2026-01-02T00:00:00Z",
    });
    await other.knows(seq);
    expect((await socket.closed).code).toBe(4401);
    expect((await come(id, other.url, { apiKey: "revoked" })).texts).toEqual([frame("auth_error", { error: "invalid API key" })]);
    // Its account is not revoked.
    expect((await come(id)).texts).toEqual([welcome(id, 1), success(RAW, "feed-data"), gap(RAW)]);
  });
});

describe("belongs to its account", () => {
  it("another account's session of the same name looks like none, and neither changes the other", async () => {
    const id = newId();
    await (await listenToAll(id)).close();
    const of = { userId: "user_other" };
    const foreign = await come(id, edge.url, { token: "foreign" });
    const unused = await come("never used", edge.url, { token: "foreign" });
    expect(foreign.texts).toEqual([welcome(id, 0, of)]);
    expect(unused.texts).toEqual([welcome("never used", 0, of)]);
    await foreign.socket.ask(msg("subscribe-feed", { feedId: PUBLIC }));
    await until("it is kept", async () => (await record(id, "user_other", "other"))?.feeds.length === 1);
    expect((await come(id)).texts).toEqual([welcome(id, 4), ...ALL_AGAIN]);
  });

  it("a socket that becomes another account's leaves its session behind", async () => {
    const id = newId();
    const socket = await listenToAll(id);
    const texts = await socket.ask(msg("authenticate", { token: "foreign" }));
    expect(texts[0]).toBe(frame("authenticated", { userId: "user_other", authType: "jwt" }));
    await socket.ask(msg("subscribe-feed", { feedId: PUBLIC }));
    expect((await come(id)).texts).toEqual([welcome(id, 4), ...ALL_AGAIN]);
  });
});

describe("the newest socket has the session", () => {
  it("an older one that is still open on another edge writes nothing over it", async () => {
    const id = newId();
    const old = await listenToAll(id);
    const { socket: newest } = await come(id, other.url);
    await newest.ask(msg("unsubscribe-feed", { feedId: RAW }));
    const left = feed(TOPICS, { topics: ["silent"], dataTopics: ["x"] });
    await kept(id, left);
    await old.ask(msg("subscribe-feed", { feedId: PUBLIC }));
    await old.close();
    await newest.close();
    const holder = (await record(id))?.by;
    // Its last write would have come before this one's.
    const probe = newId();
    await (await listenToAll(probe)).close();
    expect(await record(id)).toMatchObject({ by: holder, feeds: [left] });
    expect((await come(id)).texts).toEqual([welcome(id, 2), ...ALL_AGAIN.slice(3)]);
  });

  it("a connection that comes again and again always gets everything once", async () => {
    const id = newId();
    await listenToAll(id);
    for (let i = 0; i < 10; i++) {
      const { texts } = await come(id, i % 2 ? edge.url : other.url);
      expect(texts).toEqual([welcome(id, 4), ...ALL_AGAIN]);
    }
  });
});

describe("a socket", () => {
  it("without a name is as ever, and nothing of it is kept", async () => {
    const before = (await streamState(fixture.client, "SOCKETS")).lastSeq;
    const socket = await open();
    expect(await socket.ask(msg("authenticate", { token: "jwt" }), msg("subscribe-feed", { feedId: RAW }))).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "jwt" }),
      success(RAW, "feed-data"),
    ]);
    await socket.close();
    // Written behind it, so the one before was not.
    const id = newId();
    await come(id);
    expect((await streamState(fixture.client, "SOCKETS")).lastSeq).toBe(before + 1);
  });

  it("that says its name again changes nothing; a refreshed token without it neither", async () => {
    const id = newId();
    const socket = await listenToAll(id);
    expect(await socket.ask(login(id))).toEqual([welcome(id, 0)]);
    expect(await socket.ask(msg("authenticate", { token: "jwt" }))).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "jwt" }),
    ]);
    await socket.ask(msg("subscribe-feed", { feedId: PUBLIC }));
    await kept(id, ...ALL, feed(PUBLIC, { raw: true }));
  });

  it("that says another name has its subscriptions under that one only", async () => {
    const [id, renamed] = [newId(), newId()];
    const socket = await listenToAll(id);
    expect(await socket.ask(login(renamed))).toEqual([welcome(renamed, 0)]);
    await kept(renamed, ...ALL);
    await kept(id);
    expect((await come(id)).texts).toEqual([welcome(id, 0)]);
    expect((await come(renamed)).texts).toEqual([welcome(renamed, 4), ...ALL_AGAIN]);
  });

  it("that has some of it already gets the rest", async () => {
    const id = newId();
    await (await listenToAll(id)).close();
    const socket = await open();
    const texts = await socket.ask(msg("authenticate", { token: "jwt" }), msg("subscribe-feed", { feedId: RAW }), login(id));
    expect(texts.slice(2)).toEqual([welcome(id, 3), ...ALL_AGAIN.slice(2)]);
  });

  it("gets an answer whatever name it says", async () => {
    const socket = await open();
    const name = fc.oneof(fc.string({ minLength: 1, maxLength: 130 }), fc.string({ unit: "binary" }), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(name, async (sessionId) => {
        const isName = typeof sessionId === "string" && /^[ -~]{1,128}$/.test(sessionId);
        const [text, ...more] = await socket.ask(login(sessionId));
        const answer: unknown = JSON.parse(text ?? "");
        expect(more).toEqual([]);
        const welcomed = { type: "authenticated", payload: { userId: "user_acme", authType: "jwt", sessionId, restored: 0 } };
        expect(answer).toEqual(isName ? welcomed : { type: "auth_error", payload: { error: "invalid payload" } });
      }),
      { numRuns: 100 },
    );
  });

  it("is welcome whatever was stored under its name", async () => {
    const id = newId();
    const subject = subjects.socketSession(store.keyOf({ tenantId: "acme", userId: "user_acme" }, id));
    const topics = fc.array(fc.string({ maxLength: 4 }), { maxLength: 3 });
    const feeds = fc.array(
      fc.record({
        id: fc.oneof(fc.constantFrom(RAW, TOPICS, PUBLIC, "__proto__", ""), fc.string()),
        raw: fc.boolean(),
        llm: fc.boolean(),
        topics,
        dataTopics: topics,
      }),
      { maxLength: 4 },
    );
    const readable = feeds.map((list) => JSON.stringify({ v: 1, by: "w", since: 1, at: Date.now(), cursors: false, feeds: list }));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json(), readable), async (text) => {
        await fixture.publisher.publish(subject, text);
        const socket = await openSocket(edge.url);
        const [first, ...rest] = await socket.ask(login(id));
        const { restored } = JSON.parse(first ?? "").payload as { restored: number };
        expect(first).toBe(welcome(id, restored));
        expect(rest.filter((answer) => answer.startsWith('{"type":"subscription-success"')).length).toBe(restored);
        await socket.close();
      }),
      { numRuns: 60 },
    );
  });
});

it("a broker that is silent, then back: the socket does not wait long, and is kept later", async () => {
  const id = newId();
  const socket = await listenToAll(id);
  const waiting = await open();
  await fixture.nats.pause();
  try {
    const askedAt = performance.now();
    expect(await waiting.ask(login(id))).toEqual([welcome(id, 0)]);
    expect(performance.now() - askedAt).toBeLessThan(10_000);
  } finally {
    fixture.nats.resume();
  }
  await waiting.ask(msg("subscribe-feed", { feedId: PUBLIC }));
  await kept(id, feed(PUBLIC, { raw: true }));
  await socket.close();
  await kept(id, feed(PUBLIC, { raw: true }));
});

it("a broker that lost its memory is told again", async () => {
  const clock = movableClock();
  const alone = await startEdgeFixture();
  const own = storeOf(alone);
  try {
    alone.addSession("jwt", "acme");
    const only = await alone.startEdge({ clock });
    await alone.addFeed(RAW, "acme");
    const socket = await openSocket(only.url);
    await socket.ask(login("tab"), msg("subscribe-feed", { feedId: RAW }));
    const key = own.keyOf({ tenantId: "acme", userId: "user_acme" }, "tab");
    const isKept = async () => (await own.read(key)).record?.feeds.length === 1;
    await until("it is kept", isKept);
    const { created } = await streamState(alone.client, "SOCKETS");
    alone.nats.kill();
    await until("the broker is back", () => streamState(alone.client, "REGISTRY").then(Boolean, isRefusal));
    clock.advance(20_000);
    await until("it is kept again", () => isKept().catch(isRefusal));
    // Its memory was gone, and the stream with it.
    expect((await streamState(alone.client, "SOCKETS")).created).not.toBe(created);
    await socket.close();
  } finally {
    await alone.stop();
  }
});

function isRefusal(error: unknown): false {
  expect(error).toBeInstanceOf(Error);
  return false;
}

/** The edge's own, but for making the stream. */
function storeOf({ client, publisher }: EdgeFixture): SocketSessionStore {
  const ensureStream = () => Promise.reject(new StreamMissing("SOCKETS"));
  return createSocketSessionStore({ nats: client, publisher, secret: "c".repeat(32), ensureStream });
}

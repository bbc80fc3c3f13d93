/** Sections of the contract as tables: who may do what in which state, and the exact reply to every message. */
import { SOCKET_ERRORS } from "@headwater/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const PRIVATE = "65f456abc1230a1b2c3d4e01";
const PUBLIC = "65f456abc1230a1b2c3d4e02";
const TOPICS = "65f456abc1230a1b2c3d4e03";
const FOREIGN = "65f456abc1230a1b2c3d4e04";
const FOREIGN_PUBLIC = "65f456abc1230a1b2c3d4e05";
const UNKNOWN = "65f456abc1230a1b2c3d4eff";

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: SocketClient[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge({ config: { WS_MESSAGE_BURST: 10_000 } });
  fixture.addSession("jwt", "acme");
  fixture.addSession("other", "other");
  fixture.sessions.set("noclaims", { ok: false, code: "claims" });
  fixture.sessions.set("away", { ok: false, code: "unavailable" });
  for (const scope of ["subscribe", "topic", "llm", "*"]) {
    fixture.addKey(scope, "acme", "free", { scopes: [`websocket:${scope}`], userId: "user_acme" });
  }
  fixture.addKey("subscribe+llm", "acme", "free", { scopes: ["websocket:subscribe", "websocket:llm"], userId: "user_acme" });
  fixture.addKey("none", "acme", "free", { scopes: [], userId: "user_acme" });
  fixture.addKey("page", "acme", "free", { scopes: ["websocket:*"], keyType: "browser", domains: ["shop.example"] });
  fixture.addKey("few", "acme", "free", { scopes: ["websocket:*"], limits: { feedSubscriptionsPerSocket: 2 } });
  fixture.addKey("single", "single", "free", { scopes: ["websocket:*"], limits: { feedSockets: 1 } });
  fixture.keys.set("expired", { ok: false, code: "expired" });
  fixture.keys.set("away", { ok: false, code: "unavailable" });
  await fixture.addFeed(PRIVATE, "acme");
  await fixture.addFeed(PUBLIC, "acme", { isPublic: true });
  await fixture.addFeed(TOPICS, "acme", { isPublic: true, enableTopicRouting: true, topicField: "s" });
  await fixture.addFeed(FOREIGN, "other", { enableTopicRouting: true, topicField: "s" });
  await fixture.addFeed(FOREIGN_PUBLIC, "other", { isPublic: true });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

type State = "anonymous" | "registered" | "jwt" | "subscribe" | "topic" | "llm" | "subscribe+llm" | "*" | "none" | "few" | "other";

async function open(state: State = "anonymous", url = edge.url): Promise<SocketClient> {
  const socket = await openSocket(url);
  sockets.push(socket);
  if (state === "anonymous") return socket;
  const hello =
    state === "registered"
      ? { type: "register-user", payload: { userId: "trader-123" } }
      : { type: "authenticate", payload: state === "jwt" || state === "other" ? { token: state } : { apiKey: state } };
  await socket.ask(hello);
  expect(["authenticated", "registration-success"]).toContain(socket.frames[0]?.type);
  return socket;
}

const msg = (type: string, payload?: unknown) => ({ type, payload });
const frame = (type: string, payload: unknown) => JSON.stringify({ type, payload });
const FORBIDDEN = "insufficient permissions";
const OFF = "LLM service not configured";

describe("table of states", () => {
  const ok = "ok";
  const feedReply = (type: string) => (result: string) =>
    result === ok
      ? frame("subscription-success", { feedId: PUBLIC, type })
      : frame("subscription-error", { error: result, feedId: PUBLIC });
  const rows: [string, unknown, (result: string) => string, Partial<Record<State, string>>][] = [
    [
      "subscribe-feed",
      msg("subscribe-feed", { feedId: PUBLIC }),
      feedReply("feed-data"),
      { registered: ok, jwt: ok, subscribe: ok, "subscribe+llm": ok, "*": ok },
    ],
    [
      "subscribe-topic",
      msg("subscribe-topic", { feedId: TOPICS, topic: "BTCUSDT" }),
      (result) =>
        result === ok
          ? frame("subscription-success", { feedId: TOPICS, topic: "BTCUSDT", type: "topic" })
          : frame("subscription-error", { error: result, feedId: TOPICS, topic: "BTCUSDT" }),
      { registered: ok, jwt: ok, topic: ok, "*": ok },
    ],
    ["subscribe-llm", msg("subscribe-llm", { feedId: PUBLIC }), feedReply("llm-only"), { jwt: ok, llm: ok, "subscribe+llm": ok, "*": ok }],
    [
      "W26 subscribe-all needs both scopes",
      msg("subscribe-all", { feedId: PUBLIC }),
      feedReply("all"),
      { jwt: ok, "subscribe+llm": ok, "*": ok },
    ],
    [
      "llm-query",
      msg("llm-query", { feedId: PUBLIC, question: "?", requestId: "r1" }),
      (result) => frame("llm-error", { error: result, feedId: PUBLIC, requestId: "r1" }),
      { jwt: OFF, llm: OFF, "subscribe+llm": OFF, "*": OFF },
    ],
    [
      "llm-query-stream",
      msg("llm-query-stream", { feedId: PUBLIC, question: "?", requestId: 7 }),
      (result) => frame("llm-error", { error: result, feedId: PUBLIC, requestId: 7 }),
      { jwt: OFF, llm: OFF, "subscribe+llm": OFF, "*": OFF },
    ],
    [
      "analyze-universal-feed",
      msg("analyze-universal-feed", { feedId: PUBLIC, analysisId: "a1" }),
      (result) => frame(result === OFF ? "universal-ai-error" : "llm-error", { error: result, feedId: PUBLIC, analysisId: "a1" }),
      { jwt: OFF, llm: OFF, "subscribe+llm": OFF, "*": OFF },
    ],
    [
      "analyze-crypto",
      msg("analyze-crypto", { feedId: PUBLIC }),
      (result) => frame(result === OFF ? "ai-error" : "llm-error", { error: result, feedId: PUBLIC }),
      { jwt: OFF, llm: OFF, "subscribe+llm": OFF, "*": OFF },
    ],
    [
      "W6 toggle-auto-analysis needs a login and the feed",
      msg("toggle-auto-analysis", { feedId: PUBLIC, enabled: true }),
      (result) => frame("llm-error", { error: result, feedId: PUBLIC }),
      { jwt: OFF, llm: OFF, "subscribe+llm": OFF, "*": OFF },
    ],
    ["unsubscribe-feed", msg("unsubscribe-feed", { feedId: PUBLIC }), () => frame("unsubscription-success", { feedId: PUBLIC }), {}],
    [
      "unsubscribe-topic",
      msg("unsubscribe-topic", { feedId: TOPICS, topic: "x" }),
      () => frame("unsubscription-success", { feedId: TOPICS, topic: "x" }),
      {},
    ],
  ];
  const states: State[] = ["anonymous", "registered", "jwt", "subscribe", "topic", "llm", "subscribe+llm", "*", "none"];
  it.each(rows)("%s", async (_name, message, reply, allowed) => {
    for (const state of states) {
      const socket = await open(state);
      expect(await socket.reply(message), state).toBe(reply(allowed[state] ?? FORBIDDEN));
      // Nothing else follows.
      expect(await socket.ask(), state).toEqual([]);
    }
  });

  it("the switch for registered sockets", async () => {
    const closed = await fixture.startEdge({ config: { WS_REGISTERED_ACCESS: "none" }, instanceId: "edge-none" });
    const socket = await open("registered", closed.url);
    expect(await socket.ask(msg("subscribe-feed", { feedId: PUBLIC }))).toEqual([
      frame("subscription-error", { error: FORBIDDEN, feedId: PUBLIC }),
    ]);
    expect(await socket.ask(msg("subscribe-topic", { feedId: TOPICS, topic: 5 }))).toEqual([
      frame("subscription-error", { error: FORBIDDEN, feedId: TOPICS, topic: "5" }),
    ]);
    await closed.stop();
  });
});

describe("W5: who somebody is follows from the credential alone", () => {
  it("a name one gave oneself opens no private feed and spends no tokens", async () => {
    const socket = await open("registered");
    await socket.ask(msg("register-user", { userId: "user_acme" }));
    expect(await socket.ask(msg("subscribe-feed", { userId: "user_acme", feedId: PRIVATE }))).toEqual([
      frame("subscription-error", { error: "feed not found", feedId: PRIVATE }),
    ]);
    expect(await socket.ask(msg("llm-query", { userId: "user_acme", feedId: PUBLIC, question: "?" }))).toEqual([
      frame("llm-error", { error: FORBIDDEN, feedId: PUBLIC }),
    ]);
  });

  it("register-user on an authenticated socket changes nothing", async () => {
    const socket = await open("jwt");
    expect(await socket.ask(msg("register-user", { userId: "user_other" }))).toEqual([
      frame("registration-error", { error: "user mismatch" }),
    ]);
    expect(await socket.ask(msg("register-user", { userId: "user_acme" }))).toEqual([
      frame("registration-success", { userId: "user_acme", message: "connected" }),
    ]);
    expect(await socket.ask(msg("subscribe-feed", { userId: "user_other", feedId: PRIVATE }))).toEqual([
      frame("subscription-success", { feedId: PRIVATE, type: "feed-data" }),
    ]);
    expect(await socket.ask(msg("subscribe-feed", { userId: "user_other", feedId: FOREIGN }))).toEqual([
      frame("subscription-error", { error: "feed not found", feedId: FOREIGN }),
    ]);
  });

  it("only the owner toggles the analysis of a feed", async () => {
    const socket = await open("jwt");
    expect(await socket.ask(msg("toggle-auto-analysis", { feedId: FOREIGN_PUBLIC, enabled: true }))).toEqual([
      frame("llm-error", { error: FORBIDDEN, feedId: FOREIGN_PUBLIC }),
    ]);
  });
});

describe("authenticate", () => {
  const AUTH: [string, unknown, string][] = [
    ["no payload", undefined, "invalid payload"],
    ["payload is no object", "x", "invalid payload"],
    ["payload is a list", [], "invalid payload"],
    ["wrong type", { token: 5 }, "invalid payload"],
    ["nothing", {}, "token or apiKey required"],
    ["both empty", { token: "", apiKey: "" }, "token or apiKey required"],
    ["unknown key", { apiKey: "ts_live_nope" }, "invalid API key"],
    ["expired key", { apiKey: "expired" }, "invalid API key"],
    ["the key wins", { apiKey: "nope", token: "jwt" }, "invalid API key"],
    ["browser key of another page", { apiKey: "page" }, "invalid API key"],
    ["bad token", { token: "nope" }, "invalid token"],
    ["no user in the token", { token: "noclaims" }, "invalid token claims"],
    ["auth away, key", { apiKey: "away" }, "service unavailable"],
    ["auth away, token", { token: "away" }, "service unavailable"],
  ];
  it.each(AUTH)("%s", async (_name, payload, error) => {
    const socket = await openSocket(edge.url, { headers: { Origin: edge.url.replace("ws:", "http:") } });
    sockets.push(socket);
    expect(await socket.ask(msg("authenticate", payload))).toEqual([frame("auth_error", { error })]);
    // Nothing was gained.
    expect(await socket.ask(msg("subscribe-feed", { feedId: PUBLIC }))).toEqual([
      frame("subscription-error", { error: FORBIDDEN, feedId: PUBLIC }),
    ]);
  });

  it("answers who it is", async () => {
    const socket = await open();
    expect(await socket.ask(msg("authenticate", { token: "jwt" }))).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "jwt" }),
    ]);
    expect(await socket.ask(msg("authenticate", { apiKey: "subscribe", token: "jwt" }))).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "apikey" }),
    ]);
    // A failed attempt leaves the former credential in place.
    await socket.ask(msg("authenticate", { apiKey: "nope" }));
    expect(await socket.ask(msg("subscribe-feed", { feedId: PRIVATE }))).toEqual([
      frame("subscription-success", { feedId: PRIVATE, type: "feed-data" }),
    ]);
  });

  it("drops what the next credential may not hold, and says so", async () => {
    const socket = await open("jwt");
    await socket.ask(
      msg("subscribe-all", { feedId: PUBLIC }),
      msg("subscribe-topic", { feedId: TOPICS, topic: "a" }),
      msg("subscribe-feed", { feedId: PRIVATE }),
    );
    expect(await socket.ask(msg("authenticate", { apiKey: "llm" }))).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "apikey" }),
      frame("subscription-error", { error: FORBIDDEN, feedId: PUBLIC }),
      frame("subscription-error", { error: FORBIDDEN, feedId: TOPICS, topic: "a" }),
      frame("subscription-error", { error: FORBIDDEN, feedId: PRIVATE }),
    ]);
    await socket.ask(msg("authenticate", { token: "jwt" }), msg("subscribe-feed", { feedId: PRIVATE }));
    expect(await socket.ask(msg("authenticate", { token: "other" }))).toEqual([
      frame("authenticated", { userId: "user_other", authType: "jwt" }),
      frame("subscription-error", { error: "feed not found", feedId: PRIVATE }),
    ]);
  });

  it("ten wrong credentials close the socket", async () => {
    const socket = await open();
    for (let i = 0; i < 10; i++) socket.send(msg("authenticate", { apiKey: `guess${i}` }));
    expect((await socket.closed).code).toBe(1008);
    expect(socket.of("auth_error")).toHaveLength(10);
  });

  it("sockets of a tenant are limited", async () => {
    const first = await open();
    await first.ask(msg("authenticate", { apiKey: "single" }));
    const second = await open();
    second.send(msg("authenticate", { apiKey: "single" }));
    expect(await second.closed).toEqual({ code: 4429, reason: "too many connections" });
    expect(second.texts).toEqual([frame("auth_error", { error: "too many connections" })]);
    // Another credential of the same tenant needs no further slot.
    expect(await first.ask(msg("authenticate", { apiKey: "single" }))).toHaveLength(1);
    expect(first.of("authenticated")).toHaveLength(2);
    await first.close();
    const third = await open();
    expect(await third.ask(msg("authenticate", { apiKey: "single" }))).toHaveLength(1);
    expect(third.frames[0]?.type).toBe("authenticated");
  });
});

describe("every other error by its exact text", () => {
  const long = "x".repeat(300);
  const rows: [State, unknown, string][] = [
    ["anonymous", "{", frame("error", { message: "invalid JSON" })],
    ["anonymous", "", frame("error", { message: "invalid JSON" })],
    ["anonymous", "null", frame("error", { message: "invalid JSON" })],
    ["anonymous", "[]", frame("error", { message: "invalid JSON" })],
    ["anonymous", Buffer.from([1, 2]), frame("error", { message: "invalid JSON" })],
    ["anonymous", {}, frame("error", { message: "unknown event" })],
    ["anonymous", { type: 5 }, frame("error", { message: "unknown event" })],
    ["anonymous", { type: "constructor" }, frame("error", { message: "unknown event" })],
    ["anonymous", '{"type":"__proto__"}', frame("error", { message: "unknown event" })],
    ["anonymous", msg("register-user"), frame("registration-error", { error: "invalid payload" })],
    ["anonymous", msg("register-user", { userId: "" }), frame("registration-error", { error: "invalid payload" })],
    ["anonymous", msg("register-user", { userId: 5 }), frame("registration-error", { error: "invalid payload" })],
    ["anonymous", msg("unsubscribe-feed", {}), frame("unsubscription-error", { error: "invalid payload" })],
    [
      "anonymous",
      msg("unsubscribe-topic", { feedId: TOPICS }),
      frame("unsubscription-error", { error: "invalid payload", feedId: TOPICS }),
    ],
    ["anonymous", msg("resume", 5), frame("error", { error: "invalid payload" })],
    ["jwt", msg("subscribe-feed"), frame("subscription-error", { error: "invalid payload" })],
    ["jwt", msg("subscribe-feed", { feedId: "" }), frame("subscription-error", { error: "invalid payload", feedId: "" })],
    ["jwt", msg("subscribe-feed", { feedId: 5 }), frame("subscription-error", { error: "invalid payload", feedId: 5 })],
    ["jwt", msg("subscribe-feed", { feedId: long }), frame("subscription-error", { error: "invalid payload" })],
    ["jwt", msg("subscribe-feed", { feedId: UNKNOWN }), frame("subscription-error", { error: "feed not found", feedId: UNKNOWN })],
    ["jwt", msg("subscribe-feed", { feedId: "a.*.>" }), frame("subscription-error", { error: "feed not found", feedId: "a.*.>" })],
    [
      "jwt",
      msg("subscribe-feed", { feedId: PUBLIC, since: {} }),
      frame("subscription-error", { error: "invalid payload", feedId: PUBLIC }),
    ],
    ["jwt", msg("subscribe-topic", { feedId: TOPICS }), frame("subscription-error", { error: "invalid payload", feedId: TOPICS })],
    [
      "jwt",
      msg("subscribe-topic", { feedId: TOPICS, topic: "" }),
      frame("subscription-error", { error: "invalid payload", feedId: TOPICS, topic: "" }),
    ],
    [
      "jwt",
      msg("subscribe-topic", { feedId: TOPICS, topic: "a\u0000" }),
      frame("subscription-error", { error: "invalid payload", feedId: TOPICS, topic: "a\u0000" }),
    ],
    [
      "jwt",
      msg("subscribe-topic", { feedId: PUBLIC, topic: "a" }),
      frame("subscription-error", { error: "topic routing not enabled", feedId: PUBLIC, topic: "a" }),
    ],
    [
      "jwt",
      msg("subscribe-topic", { feedId: TOPICS, topic: "a", include: "data" }),
      frame("subscription-error", { error: "invalid payload", feedId: TOPICS, topic: "a" }),
    ],
    ["jwt", msg("llm-query", { question: "?", requestId: "r" }), frame("llm-error", { error: "invalid payload", requestId: "r" })],
    ["jwt", msg("llm-query", { feedId: PUBLIC }), frame("llm-error", { error: "question is required", feedId: PUBLIC })],
    ["jwt", msg("llm-query", { feedId: PUBLIC, question: " " }), frame("llm-error", { error: "question is required", feedId: PUBLIC })],
    [
      "jwt",
      msg("llm-query", { feedId: PUBLIC, question: "x".repeat(4_001) }),
      frame("llm-error", { error: "invalid payload", feedId: PUBLIC }),
    ],
    ["jwt", msg("llm-query", { feedId: UNKNOWN, question: "?" }), frame("llm-error", { error: "feed not found", feedId: UNKNOWN })],
    ["jwt", msg("toggle-auto-analysis", { feedId: PUBLIC }), frame("error", { error: "invalid payload", feedId: PUBLIC })],
    [
      "jwt",
      msg("toggle-auto-analysis", { feedId: UNKNOWN, enabled: true }),
      frame("llm-error", { error: "feed not found", feedId: UNKNOWN }),
    ],
    ["jwt", msg("analyze-crypto", 5), frame("ai-error", { error: "invalid payload" })],
    ["jwt", msg("analyze-universal-feed", {}), frame("universal-ai-error", { error: "invalid payload" })],
  ];
  it.each(rows)("%s: %j", async (state, message, expected) => {
    const socket = await open(state);
    expect(await socket.ask(message)).toEqual([expected]);
  });

  it("too many subscriptions, repeated ones not counted", async () => {
    const socket = await open("few");
    const topic = (name: string) => msg("subscribe-topic", { feedId: TOPICS, topic: name });
    await socket.ask(topic("a"), topic("b"), topic("a"), topic("b"));
    expect(socket.of("subscription-success")).toHaveLength(4);
    const full = { error: "too many subscriptions", feedId: TOPICS };
    expect(await socket.ask(topic("c"))).toEqual([frame("subscription-error", { ...full, topic: "c" })]);
    expect(await socket.ask(msg("subscribe-feed", { feedId: PUBLIC }))).toEqual([
      frame("subscription-error", { error: "too many subscriptions", feedId: PUBLIC }),
    ]);
    await socket.ask(msg("unsubscribe-topic", { feedId: TOPICS, topic: "a" }));
    expect(await socket.ask(topic("c"))).toEqual([frame("subscription-success", { feedId: TOPICS, topic: "c", type: "topic" })]);
  });

  it("replies come in the order of requests, also behind one that has to wait", async () => {
    const socket = await open();
    const replies = await socket.ask(
      msg("authenticate", { token: "jwt" }),
      msg("subscribe-feed", { feedId: PUBLIC }),
      msg("nonsense"),
      msg("subscribe-topic", { feedId: TOPICS, topic: 40138 }),
    );
    expect(replies).toEqual([
      frame("authenticated", { userId: "user_acme", authType: "jwt" }),
      frame("subscription-success", { feedId: PUBLIC, type: "feed-data" }),
      frame("error", { message: SOCKET_ERRORS.unknown_event }),
      frame("subscription-success", { feedId: TOPICS, topic: "40138", type: "topic" }),
    ]);
  });

  it("a topic feed says that it sends no raw data", async () => {
    const socket = await open("jwt");
    const note = "topic-routed feed: use subscribe-topic";
    expect(await socket.ask(msg("subscribe-feed", { feedId: TOPICS }), msg("subscribe-all", { feedId: TOPICS }))).toEqual([
      frame("subscription-success", { feedId: TOPICS, type: "feed-data", note }),
      frame("subscription-success", { feedId: TOPICS, type: "all", note }),
    ]);
  });
});

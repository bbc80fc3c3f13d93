/** The life of a `/ws` socket: who may open it, keepalive, limits, revocation while it is open, drain. */
import { movableClock, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const RAW = "65f456abc1230a1b2c3d4e01";

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: SocketClient[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge({ config: { CORS_ORIGIN: ["https://app.example:8443"], TRUSTED_PROXIES: ["127.0.0.1"] } });
  await fixture.addFeed(RAW, "acme");
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
const frame = (type: string, payload: unknown) => JSON.stringify({ type, payload });
async function open(options: Parameters<typeof openSocket>[1] = {}, url = edge.url): Promise<SocketClient> {
  const socket = await openSocket(url, options);
  sockets.push(socket);
  return socket;
}
async function login(credential: { token: string } | { apiKey: string }, url = edge.url): Promise<SocketClient> {
  const socket = await open({}, url);
  await socket.ask(msg("authenticate", credential), msg("subscribe-feed", { feedId: RAW }));
  expect(socket.frames.map((received) => received.type)).toEqual(["authenticated", "subscription-success", "pong"]);
  return socket;
}

describe("W25: which pages may open it", () => {
  it.each([
    ["no page", undefined],
    ["its own page", "self"],
    ["a page of CORS_ORIGIN", "https://app.example:8443"],
  ])("%s may", async (_name, origin) => {
    const headers = origin === undefined ? {} : { Origin: origin === "self" ? `http://127.0.0.1:${edge.port}` : origin };
    const socket = await open({ headers });
    expect(await socket.ask()).toEqual([]);
  });

  it("its own page behind a proxy that ends TLS may", async () => {
    const headers = { Origin: "https://192.0.2.7", Host: "192.0.2.7", "X-Forwarded-Proto": "https" };
    expect(await (await open({ headers })).ask()).toEqual([]);
    await expect(open({ headers: { ...headers, Origin: "http://192.0.2.7" } })).rejects.toThrow(/^403 /);
  });

  it("a page whose name only leads here may not", async () => {
    const rebound = { Origin: "http://rebound.example", Host: "rebound.example" };
    await expect(open({ headers: rebound })).rejects.toThrow(/^403 /);
  });

  it.each([
    "https://evil.example",
    "http://app.example:8443",
    "https://app.example",
    "https://app.example:8443.evil.example",
    "https://sub.app.example:8443",
    "null",
    "",
    "file://",
  ])("%s may not", async (origin) => {
    await expect(open({ headers: { Origin: origin } })).rejects.toThrow(
      '403 {"success":false,"message":"origin not allowed","code":"ORIGIN_NOT_ALLOWED"}',
    );
  });

  it("a request without an upgrade is 426 in the envelope of this surface", async () => {
    const answer = await fetch(`http://127.0.0.1:${edge.port}/ws`);
    expect([answer.status, await answer.json()]).toEqual([426, { success: false, message: "upgrade required", code: "UPGRADE_REQUIRED" }]);
    expect((await fetch(`http://127.0.0.1:${edge.port}/ws`, { method: "POST" })).status).toBe(405);
  });
});

describe("limits", () => {
  it("W42: malformed messages leave the socket open; the frame limit is 256 KiB", async () => {
    const socket = await open();
    for (const text of ["{", "nope", '{"type":', "\u0000"]) socket.send(text);
    const replies = await socket.ask();
    expect(replies).toEqual(Array.from({ length: 4 }, () => frame("error", { message: "invalid JSON" })));
    const fits = JSON.stringify({ type: "ping", payload: "" }).padEnd(262_144);
    socket.send(fits);
    await socket.received("pong", 2);
    socket.send(`${fits} `);
    expect((await socket.closed).code).toBe(1009);
  });

  it("a flood of messages closes with 4429 after the burst", async () => {
    const socket = await open();
    for (let i = 0; i < 200; i++) socket.send({ type: "ping" });
    expect(await socket.closed).toEqual({ code: 4429, reason: "too many messages" });
    expect(socket.of("pong").length).toBeGreaterThanOrEqual(100);
    expect(socket.of("pong").length).toBeLessThan(200);
  });

  it("protocol pings come, and two without an answer end the socket", async () => {
    const clock = movableClock();
    const strict = await fixture.startEdge({ instanceId: "edge-ping", config: { WS_PING_MS: 60_000 }, clock });
    const lively = await open({}, strict.url);
    const silent = await open({ autoPong: false }, strict.url);
    const pings = { lively: 0, silent: 0 };
    lively.ws.on("ping", () => pings.lively++);
    silent.ws.on("ping", () => pings.silent++);
    for (const round of [1, 2]) {
      clock.advance(60_000);
      await until("both are pinged", () => pings.lively === round && pings.silent === round);
      // Its pong has arrived before this is answered.
      await lively.ask();
    }
    clock.advance(60_000);
    await silent.closed;
    expect(pings.silent).toBe(2);
    expect(await lively.ask()).toEqual([]);
    await strict.stop();
  });
});

describe("revocation reaches live sockets at once", () => {
  const keyRecord = (id: string, revokedAt: string | null, scopes = ["websocket:*"]) => ({
    id,
    tenantId: "acme",
    name: "k",
    type: "server",
    hint: "ts_live_",
    scopes,
    domains: [],
    createdAt: "2026-01-01T00:00:00Z",
    expiresAt: null,
    revokedAt,
  });
  const gone = async (socket: SocketClient, error: string, begun: number) => {
    expect(await socket.closed).toEqual({ code: 4401, reason: "credentials revoked or expired" });
    expect(socket.texts.at(-1)).toBe(frame("auth_error", { error }));
    expect(performance.now() - begun).toBeLessThan(1_000);
  };

  it("W24: a revoked key", async () => {
    fixture.addKey("revoked", "acme", "free", { scopes: ["websocket:*"] });
    fixture.addKey("kept", "acme", "free", { scopes: ["websocket:*"] });
    const [socket, other] = [await login({ apiKey: "revoked" }), await login({ apiKey: "kept" })];
    const begun = performance.now();
    await fixture.register("key", "id_revoked", keyRecord("id_revoked", "2026-01-01T00:00:00Z"));
    await gone(socket, "API key revoked", begun);
    expect(await other.ask()).toEqual([]);
    // The cached answer of auth is older than what the registry says.
    const again = await open();
    expect(await again.ask(msg("authenticate", { apiKey: "revoked" }))).toEqual([frame("auth_error", { error: "invalid API key" })]);
  });

  it("a deleted key and a deleted tenant", async () => {
    fixture.addKey("deleted", "acme", "free", { scopes: ["websocket:*"] });
    const socket = await login({ apiKey: "deleted" });
    await fixture.register("key", "id_deleted", keyRecord("id_deleted", null));
    expect(await socket.ask()).toEqual([]);
    await fixture.register("key", "id_deleted", null);
    await gone(socket, "API key revoked", performance.now());
    fixture.addSession("ghost", "ghost");
    const ghost = await open();
    await ghost.ask(msg("authenticate", { token: "ghost" }));
    await fixture.register("tenant", "ghost", null);
    await gone(ghost, "invalid token", performance.now());
  });

  it("a session that was logged out", async () => {
    const sid = fixture.addSession("logout", "acme");
    fixture.addSession("stays", "acme");
    const [socket, other] = [await login({ token: "logout" }), await login({ token: "stays" })];
    const begun = performance.now();
    const record = { id: sid, tenantId: "acme", userId: "user_acme", revokedAt: "2026-01-01T00:00:00Z", reason: "logout" };
    await fixture.register("session", sid, record);
    await gone(socket, "invalid token", begun);
    expect(await other.ask()).toEqual([]);
    const again = await open();
    expect(await again.ask(msg("authenticate", { token: "logout" }))).toEqual([frame("auth_error", { error: "invalid token" })]);
  });

  it("a token and a key that expire", async () => {
    const clock = movableClock();
    const hourly = await fixture.startEdge({ instanceId: "edge-expiry", clock });
    const soon = new Date(clock.now() + 3_600_000).toISOString();
    fixture.addSession("brief", "acme", { expiresAt: soon });
    fixture.addKey("brief", "acme", "free", { scopes: ["websocket:*"], expiresAt: soon });
    const [token, key] = [await login({ token: "brief" }, hourly.url), await login({ apiKey: "brief" }, hourly.url)];
    clock.advance(3_600_000);
    expect((await token.closed).code).toBe(4401);
    expect(token.texts.at(-1)).toBe(frame("auth_error", { error: "invalid token" }));
    expect((await key.closed).code).toBe(4401);
    expect(key.texts.at(-1)).toBe(frame("auth_error", { error: "invalid API key" }));
    await hourly.stop();
  });

  it("scopes taken from a key end what they allowed", async () => {
    fixture.addKey("narrowed", "acme", "free", { scopes: ["websocket:*"] });
    const socket = await login({ apiKey: "narrowed" });
    await fixture.register("key", "id_narrowed", keyRecord("id_narrowed", null, ["websocket:llm"]));
    await socket.received("subscription-error", 1);
    const forbidden = frame("subscription-error", { error: "insufficient permissions", feedId: RAW });
    expect(socket.texts.at(-1)).toBe(forbidden);
    expect(await socket.ask(msg("subscribe-feed", { feedId: RAW }))).toEqual([forbidden]);
  });

  it("a session that ends while its socket authenticates", async () => {
    const sid = fixture.addSession("race", "acme");
    const answer = fixture.sessions.get("race");
    const seq = await fixture.register("session", sid, {
      id: sid,
      tenantId: "acme",
      userId: "u",
      revokedAt: "2026-01-01T00:00:00Z",
      reason: "logout",
    });
    await edge.knows(seq);
    expect(answer?.ok).toBe(true);
    const socket = await open();
    expect(await socket.ask(msg("authenticate", { token: "race" }))).toEqual([frame("auth_error", { error: "invalid token" })]);
  });
});

it("a stopping edge closes with 1001", async () => {
  const stopping = await fixture.startEdge({ instanceId: "edge-stopping" });
  const socket = await open({}, stopping.url);
  await stopping.stop();
  expect(await socket.closed).toEqual({ code: 1001, reason: "server shutdown" });
});

it("closed sockets leave nothing behind", async () => {
  fixture.addSession("tidy", "acme");
  const before = edge.service.status()["listening"];
  const socket = await login({ token: "tidy" });
  expect(edge.service.status()["listening"]).toBe(Number(before) + 2);
  socket.ws.terminate();
  await until("it is forgotten", () => edge.service.status()["listening"] === before);
  await until("nothing is read", () => !(edge.service.status()["topics"] as { reading: boolean }).reading);
});

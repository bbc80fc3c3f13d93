/** The life of a socket: heartbeats, idle, duration limit, revocation, drain, presence, and a broker that goes away. */
import { PLAN_LIMITS } from "@headwater/protocol";
import { movableClock, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type EdgeFixture, startEdgeFixture } from "./testing/edge-fixture.ts";
import { type FeedSocket, openFeed, refusedFeed } from "./testing/feed-socket.ts";

let fixture: EdgeFixture;
const sockets: FeedSocket[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addKey("key", "acme");
  fixture.addKey("short", "acme", "scale", { limits: { feedMaxDurationMs: 60_000, feedConnections: 1 } });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const open = async (url: string, key = "key", query = ""): Promise<FeedSocket> => {
  const socket = await openFeed(`${url}/v1/signals/stream?key=${key}${query}`);
  sockets.push(socket);
  return socket;
};

it("heartbeats come regardless of traffic; F8: silence for the idle time closes with 4000", async () => {
  const clock = movableClock();
  const edge = await fixture.startEdge({ config: { FEED_HEARTBEAT_MS: 60_000, FEED_IDLE_TIMEOUT_MS: 240_000 }, clock });
  const lively = await open(edge.url);
  lively.ws.on("message", (data) => {
    if (String(data).includes('"ping"')) lively.send({ type: "pong", timestamp: Date.now() });
  });
  const silent = await open(edge.url);
  const pings = (socket: FeedSocket): number => socket.frames.filter((frame) => frame.type === "ping").length;
  for (const round of [1, 2, 3]) {
    clock.advance(60_000);
    await Promise.all([lively, silent].map((socket) => socket.when(`ping ${round}`, () => pings(socket) === round)));
    await fixture.publish([{ tenant: "acme" }]);
    // Its pong has arrived before this is answered.
    lively.send({ type: "ping", timestamp: round });
    await lively.when("the answer", () => lively.frames.some((frame) => frame.type === "pong" && frame["timestamp"] === round));
  }
  clock.advance(60_000);
  expect(await silent.closed).toEqual({ code: 4000, reason: "idle_timeout" });
  expect(pings(silent)).toBe(3);
  expect(await silent.first("ping")).toEqual({ type: "ping", timestamp: expect.any(Number) });
  expect(lively.ws.readyState).toBe(lively.ws.OPEN);
  await edge.stop();
});

it("F9: the duration limit is announced, make-before-break gets one slot, then 4008", async () => {
  const clock = movableClock();
  const edge = await fixture.startEdge({ config: { FEED_DURATION_WARNING_MS: 30_000 }, clock });
  const socket = await open(edge.url, "short");
  expect((await refusedFeed(`${edge.url}/v1/signals/stream?key=short`)).status).toBe(429);
  clock.advance(30_000);
  const warning = await socket.first("duration_limit");
  expect(warning).toEqual({
    type: "duration_limit",
    message: expect.any(String),
    maxDurationMs: 60_000,
    closesInMs: expect.any(Number),
    cursor: expect.stringMatching(/^c1_/),
  });
  const next = await open(edge.url, "short", `&cursor=${String(warning["cursor"])}`);
  await fixture.publish([{ tenant: "acme", ext: { v: "both" } }]);
  await Promise.all([socket.received(1), next.received(1)]);
  clock.advance(30_000);
  expect(await socket.closed).toEqual({ code: 4008, reason: "duration_limit" });
  await edge.stop();
});

it("F19: a revoked key, a lower plan or a deleted tenant close with 4003", async () => {
  const edge = await fixture.startEdge();
  fixture.addKey("revoked", "t-revoked");
  fixture.addKey("lowered", "t-lowered");
  fixture.addKey("gone", "t-gone");
  const [revoked, lowered, gone, other] = await Promise.all(["revoked", "lowered", "gone", "key"].map((key) => open(edge.url, key)));
  const key = {
    id: "id_revoked",
    tenantId: "t-revoked",
    name: "k",
    type: "server",
    hint: "k",
    scopes: ["signals:read"],
    domains: [],
    createdAt: "2026-01-01T00:00:00Z",
    expiresAt: null,
  };
  const tenant = (id: string, plan: string) => ({ id, slug: id, name: id, plan, createdAt: "2026-01-01T00:00:00Z" });
  const begun = performance.now();
  await fixture.register("tenant", "t-lowered", tenant("t-lowered", "scale"));
  await fixture.register("key", "id_revoked", { ...key, revokedAt: "2026-01-01T00:00:00Z" });
  await fixture.register("tenant", "t-lowered", tenant("t-lowered", "builder"));
  await fixture.register("tenant", "t-gone", null);
  for (const socket of [revoked, lowered, gone]) expect(await socket?.closed).toEqual({ code: 4003, reason: "access_revoked" });
  expect(performance.now() - begun).toBeLessThan(5_000);
  expect(other?.ws.readyState).toBe(other?.ws.OPEN);
  // The cached answer of auth would still let it in; the registry does not.
  expect((await refusedFeed(`${edge.url}/v1/signals/stream?key=revoked`)).body["error"]).toBe("invalid_api_key");
  await edge.stop();
});

it("a key that expires while connected closes with 4003", async () => {
  const clock = movableClock();
  const edge = await fixture.startEdge({ clock });
  fixture.addKey("brief", "acme", "scale", { expiresAt: new Date(clock.now() + 3_600_000).toISOString() });
  const socket = await open(edge.url, "brief");
  clock.advance(3_600_000);
  expect(await socket.closed).toEqual({ code: 4003, reason: "access_revoked" });
  await edge.stop();
});

it("drain tells every socket, closes with 1012 and refuses new ones; the cursor continues elsewhere", async () => {
  const edge = await fixture.startEdge();
  const all = await Promise.all(Array.from({ length: 6 }, () => open(edge.url)));
  const stopping = edge.service.stop();
  const closing = await all[5]?.first("closing");
  expect(closing).toEqual({ type: "closing", reason: "draining", closesInMs: expect.any(Number), cursor: expect.stringMatching(/^c1_/) });
  const refusal = await refusedFeed(`${edge.url}/v1/signals/stream?key=key`);
  expect([refusal.status, refusal.body["error"]]).toEqual([503, "draining"]);
  for (const socket of all) expect(await socket.closed).toEqual({ code: 1012, reason: "draining" });
  await stopping;
  const next = await fixture.startEdge({ instanceId: "edge-next" });
  await fixture.publish([{ tenant: "acme", ext: { v: "while-away" } }]);
  const again = await open(next.url, "key", `&cursor=${String(closing?.["cursor"])}`);
  await again.first("live");
  expect(again.visitors()).toEqual(["while-away"]);
  await next.stop();
});

it("presence says what is listened to", async () => {
  const seen: { edgeId: string; surfaces: { signals: { sockets: number; keys: Record<string, number> } } }[] = [];
  const subscription = fixture.client.core.subscribe("presence.*", {
    callback: (msg) => seen.push(JSON.parse(new TextDecoder().decode(msg.data))),
  });
  await fixture.client.flush();
  const edge = await fixture.startEdge({ instanceId: "edge-presence" });
  await open(edge.url);
  await open(edge.url);
  await until("presence of two sockets", () => seen.some((p) => p.edgeId === "edge-presence" && p.surfaces.signals.keys["acme"] === 2));
  subscription.unsubscribe();
  await edge.stop();
});

it("F12/broker: kill -9 of the broker, sockets stay, delivery goes on without gap or duplicate", async () => {
  const edge = await fixture.startEdge({ config: { FEED_HEARTBEAT_MS: 50 } });
  const socket = await open(edge.url);
  const written: string[] = [];
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const v = `broker_${written.length}`;
      await fixture.publish([{ tenant: "acme", ext: { v } }]);
      written.push(v);
    }
  };
  await write(20);
  await socket.received(20);
  fixture.nats.kill();
  const pings = socket.frames.filter((frame) => frame.type === "ping").length;
  await socket.when("heartbeats while the broker is away", () => socket.frames.filter((f) => f.type === "ping").length > pings + 2);
  await until("the broker is back", async () => fixture.client.connected());
  await until("publishing works again", async () => {
    try {
      await write(1);
      return true;
    } catch {
      // Not accepted: the stream is not ready yet.
      return false;
    }
  });
  await write(20);
  await socket.received(written.length);
  expect(new Set(socket.visitors()).size).toBe(socket.visitors().length);
  expect(socket.visitors()).toEqual(expect.arrayContaining(written));
  expect(socket.frames.some((frame) => frame.type === "gap")).toBe(false);
  await edge.stop();
});

it("answers health, status and the services API", async () => {
  const edge = await fixture.startEdge({ instanceId: "edge-status" });
  await open(edge.url);
  expect(edge.service.health().status).toBe("up");
  expect(edge.service.status()).toMatchObject({ sockets: { signals: 1 }, reading: true });
  const answer = await fixture.client.core.request("$SRV.STATS.edge.edge-status", "");
  expect(JSON.parse(new TextDecoder().decode(answer.data))).toMatchObject({ name: "edge", id: "edge-status" });
  expect(await edge.service.metrics.metrics()).toContain('headwater_edge_sockets{surface="signals",service="edge"} 1');
  expect(PLAN_LIMITS.scale.feedMaxDurationMs).toBe(3_600_000);
  await edge.stop();
});

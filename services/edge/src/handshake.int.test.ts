/** Who gets in, and what everybody else is told: the decision table before the upgrade, over real HTTP. */
import net from "node:net";
import { collectingLogger } from "@headwater/testkit";
import { SiteSettings } from "@headwater/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { type FeedSocket, openFeed, refusedFeed } from "./testing/feed-socket.ts";

let fixture: EdgeFixture;
let edge: RunningEdge;
const { log, lines } = collectingLogger("trace");
const sockets: FeedSocket[] = [];

const SCALE = `cs_live_${"s".repeat(32)}`;
const FREE = `cs_live_${"f".repeat(32)}`;
const BROWSER = `cs_live_${"b".repeat(32)}`;
const NOSCOPE = `cs_live_${"n".repeat(32)}`;
const SMALL = `cs_live_${"m".repeat(32)}`;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge({ log, config: { EDGE_MAX_FAILED_HANDSHAKES_PER_MINUTE: 1_000 } });
  fixture.addKey(SCALE, "acme");
  fixture.addKey(FREE, "poor", "free");
  fixture.addKey(NOSCOPE, "acme", "scale", { scopes: ["events:write"] });
  fixture.addKey(SMALL, "small", "scale", { limits: { feedConnections: 5 } });
  fixture.addKey(BROWSER, "web", "scale", {
    keyType: "browser",
    sites: [
      {
        id: "main",
        tenantId: "web",
        name: "main",
        domains: ["shop.example"],
        settings: SiteSettings.parse({}),
        createdAt: "2026-01-01T00:00:00Z",
      },
    ],
  });
  fixture.keys.set("expired", { ok: false, code: "expired" });
  fixture.keys.set("unknown-while-down", { ok: false, code: "unavailable" });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const open = async (path: string, options?: Parameters<typeof openFeed>[1]): Promise<FeedSocket> => {
  const socket = await openFeed(`${edge.url}${path}`, options);
  sockets.push(socket);
  return socket;
};
const refused = (path: string, options?: Parameters<typeof openFeed>[1]) => refusedFeed(`${edge.url}${path}`, options);
const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${edge.port}${path}`, init);

describe.each(["/signals/stream", "/v1/signals/stream"])("F20 on %s", (path) => {
  it("F1: a bad key with an upgrade is 401 JSON", async () => {
    const refusal = await refused(`${path}?key=cs_live_nope`);
    expect(refusal.status).toBe(401);
    expect(refusal.body).toEqual({ error: "invalid_api_key", message: "Unknown or revoked API key" });
    expect(refusal.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(refusal.headers["x-request-id"]).toMatch(/^req_/);
  });

  it("no credential is 401 missing_api_key, an expired one expired_token", async () => {
    expect((await refused(path)).body["error"]).toBe("missing_api_key");
    const refusal = await refused(`${path}?key=expired`);
    expect([refusal.status, refusal.body["error"]]).toEqual([401, "expired_token"]);
  });

  it("nobody can verify: 503 before the upgrade", async () => {
    const refusal = await refused(`${path}?key=unknown-while-down`);
    expect([refusal.status, refusal.body["error"], refusal.headers["retry-after"]]).toEqual([503, "overloaded", "2"]);
  });

  it("F2: a free key is 403 with the plan, with an upgrade, without one, and as curl sends it", async () => {
    const body = {
      error: "plan_upgrade_required",
      currentPlan: "free",
      requiredPlan: "scale",
      feature: "signals_feed_read",
      message: expect.any(String),
      upgradeUrl: expect.stringMatching(/^https:/),
    };
    expect(await refused(`${path}?key=${FREE}`)).toMatchObject({ status: 403, body });
    const plain = await get(`${path}?key=${FREE}`);
    expect([plain.status, await plain.json()]).toEqual([403, body]);
    // `Upgrade` without `Connection: Upgrade`, as in the published health check.
    const text = await rawRequest(edge.port, `GET ${path}?key=${FREE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(text).toContain('{"error":"plan_upgrade_required","currentPlan":"free",');
  });

  it("F3: a scale key without an upgrade is 426 with the published body", async () => {
    const text = await rawRequest(edge.port, `GET ${path}?key=${SCALE} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n/);
    expect(text).toMatch(/\r\nUpgrade: websocket\r\n/);
    expect(text).toMatch(/\r\nConnection: Upgrade\r\n/);
    expect(text.split("\r\n\r\n")[1]).toBe('{"error":"upgrade_required","message":"WebSocket upgrade required at /v1/signals/stream"}');
  });

  it("F4: a bad subprotocol key is not rescued by a good query key", async () => {
    const refusal = await refused(`${path}?key=${SCALE}`, { protocols: ["clickstream-v1", "cs_live_bad"] });
    expect(refusal.status).toBe(401);
  });

  it("F5: the bare subprotocol with a query key is echoed", async () => {
    const socket = await open(`${path}?key=${SCALE}`, { protocols: ["clickstream-v1"] });
    expect(socket.ws.protocol).toBe("clickstream-v1");
  });

  it("F6: a subprotocol key opens, only clickstream-v1 comes back", async () => {
    const socket = await open(path, { protocols: ["clickstream-v1", SCALE] });
    expect(socket.ws.protocol).toBe("clickstream-v1");
  });

  it("a header key opens without a subprotocol", async () => {
    const socket = await open(path, { headers: { "X-API-Key": SCALE } });
    expect(socket.ws.protocol).toBe("");
  });

  it("F7: hello comes first and shows what was agreed", async () => {
    const socket = await open(`${path}?key=${SCALE}&min.intent=70&classes=human`);
    expect(socket.frames[0]).toEqual({
      type: "hello",
      message: "Signals Feed connected",
      ts: expect.any(Number),
      connectionId: expect.stringMatching(/^conn_/),
      protocol: "clickstream-v1",
      tenantId: "acme",
      plan: "scale",
      capabilities: ["read", "filter", "resume"],
      mode: "live",
      heartbeatIntervalMs: 30_000,
      idleTimeoutMs: 90_000,
      maxDurationMs: 3_600_000,
      maxBufferedBytes: 4_194_304,
      scoringVersion: expect.any(String),
      cursor: expect.stringMatching(/^c1_[A-Za-z0-9_-]{1,61}$/),
      filter: { classes: ["human"], min: { intent: 70 } },
    });
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])("%s is 405 with Allow", async (method) => {
    const answer = await get(`${path}?key=${SCALE}`, { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
  });

  it.each([
    ["missing scope", `key=${NOSCOPE}`, 403, "insufficient_scope"],
    ["bad filter", `key=${SCALE}&classes=x`, 400, "invalid_filter"],
    ["bad include", `key=${SCALE}&include=x`, 400, "invalid_request"],
    ["bad cursor", `key=${SCALE}&cursor=c1_AAAA`, 400, "invalid_cursor"],
    ["bad since", `key=${SCALE}&since=soon`, 400, "invalid_request"],
  ])("%s", async (_name, query, status, error) => {
    const refusal = await refused(`${path}?${query}`);
    expect([refusal.status, refusal.body["error"]]).toEqual([status, error]);
  });
});

it("a bad query is told only to those who may know", async () => {
  expect((await refused(`/v1/signals/stream?key=${FREE}&classes=x`)).body["error"]).toBe("plan_upgrade_required");
  expect(((await (await get(`/v1/signals/stream?key=${SCALE}&classes=x`)).json()) as { error: string }).error).toBe("upgrade_required");
});

it("a subprotocol list without ours is 400", async () => {
  const refusal = await refused(`/v1/signals/stream?key=${SCALE}`, { protocols: ["foo"] });
  expect([refusal.status, refusal.body["error"]]).toEqual([400, "invalid_request"]);
});

it("origin rule for browser keys", async () => {
  const path = `/v1/signals/stream?key=${BROWSER}`;
  await open(path);
  await open(path, { headers: { Origin: "https://shop.example" } });
  const refusal = await refused(path, { headers: { Origin: "https://evil.example" } });
  expect([refusal.status, refusal.body["error"]]).toEqual([403, "origin_not_allowed"]);
});

it("malformed handshakes get JSON, not a hang", async () => {
  const ask = (headers: string) =>
    rawRequest(
      edge.port,
      `GET /v1/signals/stream?key=${SCALE} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`,
    );
  expect(await ask("Sec-WebSocket-Version: 13\r\n")).toMatch(/^HTTP\/1\.1 400 [\s\S]*"error":"invalid_request"/);
  expect(await ask("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")).toMatch(
    /^HTTP\/1\.1 426 [\s\S]*Sec-WebSocket-Version: 13/,
  );
  const foreign = await rawRequest(
    edge.port,
    `GET /v1/signals/stream?key=${SCALE} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  );
  expect(foreign).toMatch(/^HTTP\/1\.1 426 /);
  // A refused upgrade gives its slot back.
  expect(edge.service.status()["sockets"]).toEqual({ signals: 0, feeds: 0 });
});

it("F16: the sixth connection on Scale is 429; a slot comes back with a close", async () => {
  const path = `/v1/signals/stream?key=${SMALL}`;
  const five = await Promise.all(Array.from({ length: 5 }, () => open(path)));
  const refusal = await refused(path);
  expect(refusal.status).toBe(429);
  expect(refusal.body).toEqual({ error: "too_many_connections", limit: 5, current: 5, message: expect.any(String) });
  expect(Number(refusal.headers["retry-after"])).toBeGreaterThan(0);
  await five[0]?.close();
  await open(path);
});

it("twenty refused credentials a minute, then the address waits", async () => {
  const strict = await fixture.startEdge({ instanceId: "edge-strict" });
  const url = `${strict.url}/v1/signals/stream`;
  for (let i = 0; i < 20; i++) expect((await refusedFeed(`${url}?key=guess${i}`)).status).toBe(401);
  const refusal = await refusedFeed(`${url}?key=${SCALE}`);
  expect([refusal.status, refusal.body["error"]]).toEqual([429, "rate_limit_exceeded"]);
  expect(Number(refusal.headers["retry-after"])).toBeGreaterThan(0);
  expect(refusal.headers).toMatchObject({ "x-ratelimit-limit": "20", "x-ratelimit-remaining": "0" });
  await strict.stop();
});

it("a missing key and a plan too low are no guesses", async () => {
  const strict = await fixture.startEdge({ instanceId: "edge-patient" });
  const url = `${strict.url}/v1/signals/stream`;
  for (let i = 0; i < 21; i++) {
    expect((await refusedFeed(url)).status).toBe(401);
    expect((await refusedFeed(`${url}?key=${FREE}`)).status).toBe(403);
  }
  await (await openFeed(`${url}?key=${SCALE}`)).close();
  await strict.stop();
});

it("one address may hold so many sockets, the process so many in all", async () => {
  const crowded = await fixture.startEdge({
    instanceId: "edge-crowded",
    config: { TRUSTED_PROXIES: ["127.0.0.1"], EDGE_MAX_SOCKETS_PER_ADDRESS: 2, EDGE_MAX_SOCKETS: 3 },
  });
  const url = `${crowded.url}/v1/signals/stream?key=${SCALE}`;
  const from = (address: string) => ({ headers: { "X-Forwarded-For": address } });
  const two = [await openFeed(url, from("203.0.113.7")), await openFeed(url, from("203.0.113.7"))];
  const refusal = await refusedFeed(url, from("203.0.113.7"));
  expect([refusal.status, refusal.body]).toEqual([
    429,
    { error: "too_many_connections", limit: 2, current: 2, message: expect.any(String) },
  ]);
  two.push(await openFeed(url, from("203.0.113.8")));
  expect((await refusedFeed(url, from("203.0.113.9"))).status).toBe(503);
  await two[0]?.close();
  two.push(await openFeed(url, from("203.0.113.7")));
  await Promise.all(two.map((socket) => socket.close()));
  await crowded.stop();
});

it("no key in any log line", () => {
  const text = JSON.stringify(lines());
  for (const key of [SCALE, FREE, BROWSER, NOSCOPE, SMALL]) expect(text).not.toContain(key);
});

function rawRequest(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      answer += chunk;
      const length = /content-length: (\d+)/i.exec(answer)?.[1];
      const body = answer.split("\r\n\r\n")[1];
      if (length !== undefined && body !== undefined && Buffer.byteLength(body) >= Number(length)) {
        socket.destroy();
        resolve(answer);
      }
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

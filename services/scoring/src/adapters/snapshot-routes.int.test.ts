/** The snapshot route over real HTTP with ports the test answers: every refusal with status and body, what a good read says, CORS. */
import { type Credential, PLAN_LIMITS, type Plan, SiteSettings, type VisitorContext } from "@headwater/protocol";
import { createLogger, type HttpServer, listenHttp } from "@headwater/runtime";
import { Router } from "express";
import { Registry } from "prom-client";
import { beforeEach, describe, expect, it } from "vitest";
import { neutralContext } from "../domain/index.ts";
import { type SnapshotAnswer, snapshotRoutes, type Verify } from "./snapshot-routes.ts";

const NOW = 1_713_797_640_000;
const log = createLogger({ service: "test", level: "silent" });
const known: VisitorContext = { ...neutralContext("vis_1", "sess_1", NOW), snapshotVersion: "7" };

let verified: Awaited<ReturnType<Verify>>;
let answer: () => SnapshotAnswer;
let asked: unknown[];
let outcomes: string[];
let nowMs: number;
let http: HttpServer;

const credential = (plan: Plan, change: Partial<Credential> = {}): Credential => ({
  keyId: "key_1",
  keyType: "browser",
  tenantId: "ten_1",
  tenantSlug: "acme",
  plan,
  limits: PLAN_LIMITS[plan],
  scopes: ["signals:read"],
  domains: [],
  sites: [
    {
      id: "site_1",
      tenantId: "ten_1",
      name: "main",
      domains: ["shop.example"],
      settings: SiteSettings.parse({}),
      createdAt: "2026-01-01T00:00:00.000Z",
    },
  ],
  expiresAt: null,
  reg: 1,
  ...change,
});

beforeEach(async () => {
  verified = { ok: true, credential: credential("scale") };
  answer = () => ({ context: known, behind: false });
  asked = [];
  outcomes = [];
  nowMs = NOW;
  const router = snapshotRoutes({
    verify: async (key) => (key === undefined ? { ok: false, code: "missing" } : verified),
    read: async (...request) => {
      asked.push(request);
      return answer();
    },
    neutral: (visitorId, at) => neutralContext(visitorId, "", at),
    clock: { now: () => nowMs, monotonicMs: () => nowMs },
    upgradeUrl: "https://plans.example",
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  http = await listenHttp({
    services: [
      {
        name: "scoring",
        router: Router().use(router),
        health: () => ({ status: "up", checks: {} }),
        metrics: new Registry(),
        status: () => ({}),
        settled: async () => undefined,
        stop: async () => undefined,
      },
    ],
    host: "127.0.0.1",
    port: 0,
    log,
    health: () => ({ status: "up", checks: {} }),
  });
  return () => http.close(0);
});

const get = (path = "/v1/signals/vis_1", init: RequestInit = {}): Promise<Response> =>
  fetch(http.url + path, { ...init, headers: { "X-API-Key": "k", ...init.headers } });

describe("refused", () => {
  it.each([
    ["no key", { headers: { "X-API-Key": "" } }, undefined, 401, { error: "missing_api_key", message: "An API key is required" }],
    ["an unknown key", {}, { ok: false, code: "invalid" }, 401, { error: "invalid_api_key", message: "Unknown or revoked API key" }],
    ["an expired key", {}, { ok: false, code: "expired" }, 401, { error: "expired_token", message: "The credential has expired" }],
    [
      "a free plan",
      {},
      { ok: true, credential: credential("free") },
      403,
      {
        error: "plan_upgrade_required",
        message: "Snapshots are part of the Builder plan and above",
        currentPlan: "free",
        requiredPlan: "builder",
        feature: "signals_snapshot_read",
        upgradeUrl: "https://plans.example",
      },
    ],
    [
      "a key without the scope",
      {},
      { ok: true, credential: credential("scale", { scopes: ["events:write"] }) },
      403,
      { error: "insufficient_scope" },
    ],
    ["a foreign origin", { headers: { Origin: "https://evil.test" } }, undefined, 403, { error: "origin_not_allowed" }],
    ["a foreign referer", { headers: { Referer: "https://evil.test/x" } }, undefined, 403, { error: "origin_not_allowed" }],
  ] as const)("%s", async (_name, init, verdict, status, body) => {
    if (verdict) verified = verdict as typeof verified;
    const res = await get(undefined, init);
    expect([res.status, await res.json()]).toEqual([status, expect.objectContaining(body)]);
    expect(res.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(res.headers.get("x-request-id")).toMatch(/^req_/);
    expect([asked, outcomes]).toEqual([[], ["refused"]]);
  });

  it("in a way that a page can read, unless it is a foreign one", async () => {
    const page = (from = "https://shop.example") => get(undefined, { headers: { Origin: from } });
    const readable = async (asking: Promise<Response>): Promise<unknown> => {
      const res = await asking;
      expect(res.headers.get("vary")).toBe("Origin");
      return [res.status, res.headers.get("access-control-allow-origin")];
    };
    verified = { ok: true, credential: credential("builder") };
    expect(await readable(page())).toEqual([200, "https://shop.example"]);
    const tooSoon = await page();
    expect([tooSoon.status, tooSoon.headers.get("access-control-allow-origin")]).toEqual([429, "https://shop.example"]);
    expect(tooSoon.headers.get("access-control-expose-headers")).toContain("Retry-After");
    expect(await readable(page("https://evil.test"))).toEqual([403, null]);
    for (const [verdict, status] of [
      [{ ok: true, credential: credential("free") }, 403],
      [{ ok: false, code: "invalid" }, 401],
      [{ ok: false, code: "unavailable" }, 503],
    ] as const) {
      verified = verdict;
      expect(await readable(page())).toEqual([status, "https://shop.example"]);
    }
  });

  it("another method, with what is allowed", async () => {
    const res = await get(undefined, { method: "DELETE" });
    expect([res.status, res.headers.get("allow"), await res.json()]).toEqual([
      405,
      "GET, HEAD, OPTIONS",
      { error: "method_not_allowed", message: "Method not allowed" },
    ]);
  });

  it.each(["key", "api_key", "token"])("a key in the URL as %s: it would end up in logs", async (name) => {
    const res = await get(`/v1/signals/vis_1?${name}=secret`);
    expect([res.status, await res.json()]).toEqual([400, expect.objectContaining({ error: "invalid_request" })]);
  });

  it.each([`/v1/signals/${"v".repeat(129)}`, `/v1/signals/vis_1?sessionId=${"s".repeat(129)}`, "/v1/signals/%ZZ"])("%s", async (path) => {
    const res = await get(path);
    expect([res.status, await res.json()]).toEqual([400, expect.objectContaining({ error: "invalid_request" })]);
  });

  it("a visitor nothing is known about", async () => {
    answer = () => ({ context: null, behind: false });
    const res = await get();
    expect([res.status, await res.json()]).toEqual([404, { error: "visitor_not_active", message: "No snapshot for this visitor" }]);
    expect(outcomes).toEqual(["not_active"]);
  });

  it("while nobody can tell who it is, or nobody owns the lane", async () => {
    verified = { ok: false, code: "unavailable" };
    const first = await get();
    verified = { ok: true, credential: credential("scale") };
    answer = () => {
      throw new Error("no owner");
    };
    const second = await get();
    for (const res of [first, second]) {
      expect([res.status, res.headers.get("retry-after"), await res.json()]).toEqual([
        503,
        "2",
        { error: "overloaded", message: "The service cannot take this now" },
      ]);
    }
    expect(outcomes).toEqual(["unavailable", "unavailable"]);
  });

  it("a second read of a visitor within the interval of a builder plan; other visitors are free", async () => {
    verified = { ok: true, credential: credential("builder") };
    expect((await get()).status).toBe(200);
    nowMs += 4_000;
    const res = await get();
    expect([res.status, await res.json()]).toEqual([429, expect.objectContaining({ error: "rate_limit_exceeded", retryAfter: 6 })]);
    expect([res.headers.get("retry-after"), res.headers.get("x-ratelimit-scope"), res.headers.get("x-ratelimit-reset")]).toEqual([
      "6",
      "key",
      String((NOW + 10_000) / 1000),
    ]);
    expect((await get("/v1/signals/vis_2")).status).toBe(200);
    nowMs += 6_000;
    expect((await get()).status).toBe(200);
  });
});

describe("answered", () => {
  it("with the context of this tenant's visitor, never cached", async () => {
    const res = await get("/v1/signals/vis_1?sessionId=sess_1", { headers: { "X-Request-Id": "abc" } });
    expect([res.status, await res.json()]).toEqual([200, known]);
    expect([res.headers.get("cache-control"), res.headers.get("x-request-id")]).toEqual(["no-store", "abc"]);
    expect([asked, outcomes]).toEqual([[["ten_1", "vis_1", "sess_1"]], ["ok"]]);
  });

  it("as pending while an event accepted before is on its way, known visitor or not", async () => {
    answer = () => ({ context: known, behind: true });
    expect(await (await get()).json()).toEqual({ ...known, pending: true });
    answer = () => ({ context: null, behind: true });
    expect(await (await get("/v1/signals/vis_new")).json()).toMatchObject({ pending: true, identity: { visitorId: "vis_new" } });
    expect(outcomes).toEqual(["pending", "pending"]);
  });

  it("to a bearer, and to an encoded id", async () => {
    const res = await fetch(`${http.url}/v1/signals/vis%2F%C3%BC`, { headers: { Authorization: "Bearer k" } });
    expect(res.status).toBe(200);
    expect(asked).toEqual([["ten_1", "vis/ü", undefined]]);
  });

  it("to a page of a registered origin, which may read it; a preflight tells nothing", async () => {
    const res = await get(undefined, { headers: { Origin: "https://shop.example" } });
    expect([res.status, res.headers.get("access-control-allow-origin"), res.headers.get("vary")]).toEqual([
      200,
      "https://shop.example",
      "Origin",
    ]);
    verified = { ok: false, code: "invalid" };
    const preflight = await get(undefined, { method: "OPTIONS", headers: { Origin: "https://anywhere.test" } });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([204, "GET, HEAD"]);
  });
});

import { gzipSync } from "node:zlib";
import { ERRORS, type ErrorCode } from "@headwater/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startHarness, type Harness, type HarnessOptions, type Sent } from "../testing/harness.ts";
import { credential, pageview, site } from "../testing/samples.ts";
import { createProcessLimiter } from "./process-limiter.ts";

const now = () => Date.now();
const event = (overrides: Record<string, unknown> = {}) => pageview({ timestamp: now(), ...overrides });
const key = (name: string) => ({ "X-API-Key": name });
const keys: NonNullable<HarnessOptions["keys"]> = {
  server: { ok: true, credential: credential({ keyId: "key_srv", keyType: "server" }) },
  reader: { ok: true, credential: credential({ scopes: ["signals:read"] }) },
  strict: { ok: true, credential: credential({ sites: [site({ requireOrigin: true })] }) },
  gdpr: { ok: true, credential: credential({ sites: [site({ preset: "gdpr_strict" })] }) },
  cpra: { ok: true, credential: credential({ sites: [site({ preset: "cpra" })] }) },
  free: {
    ok: true,
    credential: credential({ keyId: "key_free", plan: "free", limits: { ...credential().limits, collectorEventsPerSecond: 100 } }),
  },
  other: { ok: true, credential: credential({ keyId: "key_2", tenantId: "ten_2" }) },
  expired: { ok: false, code: "expired" },
  unknowable: { ok: false, code: "unavailable" },
};

describe("POST /v1/events", () => {
  let h: Harness;
  /** When set, the buckets of the keys do not fill up. */
  let stoppedAt: number | undefined;
  beforeAll(async () => {
    const limiter = createProcessLimiter({ now, monotonicMs: () => stoppedAt ?? performance.now() });
    h = await startHarness({ keys, limiter });
  });
  afterAll(() => h.stop());

  /** What came to the log for one visitor. */
  const storedOf = async (visitorId: string) => (await h.stored()).filter((input) => input.visitorId === visitorId);

  it("answers 202 with counts, cookie and limits once the events are stored", async () => {
    const visitorId = "vis_happy000000000000000";
    const answer = await h.send({ body: { events: [event({ visitorId }), event({ visitorId, type: "click" })], sentAt: now() } });
    expect(answer.status).toBe(202);
    expect(answer.body).toStrictEqual({ accepted: 2, dropped: 0, rejected: 0, duplicates: 0, dropReasons: {}, errors: [] });
    expect(answer.headers["set-cookie"]).toStrictEqual([`_cs_uid=${visitorId}; Path=/; Max-Age=31536000; SameSite=Lax`]);
    expect(answer.headers["x-request-id"]).toMatch(/^req_/);
    expect(Number(answer.headers["x-ratelimit-remaining"])).toBeLessThan(Number(answer.headers["x-ratelimit-limit"]));
    expect(answer.headers["x-ratelimit-scope"]).toBe("key");
    expect(Number(answer.headers["x-ratelimit-reset"])).toBeGreaterThanOrEqual(Math.floor(now() / 1_000));
    expect((await storedOf(visitorId)).map((input) => input.kind === "visit" && input.type)).toStrictEqual(["pageview", "click"]);
  });

  describe("error table", () => {
    const events = { events: [event({ visitorId: "vis_refused" })] };
    const huge = `{"events":[{"type":"custom","name":"${"x".repeat(600_000)}"}]}`;
    const rows: [string, Sent, ErrorCode, Record<string, string>?][] = [
      ["no credential", { headers: key(""), body: events }, "missing_api_key"],
      ["unknown key", { headers: key("nobody"), body: events }, "invalid_api_key"],
      ["a bad header beats a good query key", { headers: key("nobody"), path: "/v1/events?key=browser", body: events }, "invalid_api_key"],
      ["a repeated query key", { headers: key(""), path: "/v1/events?key=browser&key=browser", body: events }, "invalid_api_key"],
      ["a repeated header", { headers: { "X-API-Key": ["browser", "browser"] }, body: events }, "invalid_api_key"],
      [
        "a bad query key beats a good bearer",
        { headers: { ...key(""), Authorization: "Bearer browser" }, path: "/v1/events?key=x", body: events },
        "invalid_api_key",
      ],
      ["expired key", { headers: key("expired"), body: events }, "expired_token"],
      ["nobody can verify", { headers: key("unknowable"), body: events }, "overloaded", { "retry-after": "1" }],
      ["wrong scope", { headers: key("reader"), body: events }, "insufficient_scope"],
      ["foreign origin", { headers: { Origin: "https://evil.example" }, body: events }, "origin_not_allowed"],
      ["opaque origin", { headers: { Origin: "null" }, body: events }, "origin_not_allowed"],
      ["foreign referer", { headers: { Referer: "https://evil.example/x" }, body: events }, "origin_not_allowed"],
      ["an origin is demanded", { headers: key("strict"), body: events }, "origin_not_allowed"],
      ["edge capture with a browser key", { headers: { "X-Capture": "edge" }, body: events }, "key_type_not_allowed"],
      ["GET", { method: "GET" }, "method_not_allowed", { allow: "POST, OPTIONS" }],
      ["PUT", { method: "PUT", body: events }, "method_not_allowed", { allow: "POST, OPTIONS" }],
      ["no content type", { headers: { "Content-Type": "" }, body: JSON.stringify(events) }, "unsupported_media_type"],
      ["XML", { headers: { "Content-Type": "text/xml" }, body: "<x/>" }, "unsupported_media_type"],
      ["another charset", { headers: { "Content-Type": "application/json; charset=utf-16" }, body: events }, "unsupported_media_type"],
      ["another encoding", { headers: { "Content-Encoding": "br" }, body: events }, "unsupported_media_type"],
      ["two encodings", { headers: { "Content-Encoding": "gzip, gzip" }, body: events }, "unsupported_media_type"],
      ["not gzip", { headers: { "Content-Encoding": "gzip" }, body: events }, "invalid_request"],
      [
        "a gzip bomb",
        { headers: { "Content-Encoding": "gzip" }, body: gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20)) },
        "payload_too_large",
      ],
      ["over 512 KiB", { body: huge }, "payload_too_large"],
      ["over 512 KiB without a length", { headers: { "Transfer-Encoding": "chunked" }, body: huge }, "payload_too_large"],
      ["10 MB", { body: `{"events":[${" ".repeat(10_000_000)}]}` }, "payload_too_large"],
      ["101 events", { body: { events: Array.from({ length: 101 }, () => event()) } }, "payload_too_large"],
      ["no body", { body: "" }, "invalid_json"],
      ["broken JSON", { body: '{"events":[' }, "invalid_json"],
      ["NaN", { body: '{"events":[{"timestamp":NaN}]}' }, "invalid_json"],
      ["invalid UTF-8", { body: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]) }, "invalid_json"],
      ["another encoding of text", { body: Buffer.from('{"events":[]}', "utf16le") }, "invalid_json"],
      ["too deep", { body: `{"events":[{"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}]}` }, "invalid_request"],
      ["an array", { body: [event()] }, "invalid_request"],
      ["no events", { body: { events: [] } }, "invalid_request"],
      ["events of a prototype", { body: '{"__proto__":{"events":[1]}}' }, "invalid_request"],
      ["sentAt is text", { body: { ...events, sentAt: "now" } }, "invalid_request"],
      ["nothing valid", { body: { events: [{}, 7] } }, "invalid_batch"],
    ];
    it.each(rows)("%s", async (_name, request, code, headers = {}) => {
      const answer = await h.send(request);
      expect([answer.status, answer.body["error"]]).toStrictEqual([ERRORS[code].status, code]);
      expect(answer.body["message"]).toEqual(expect.any(String));
      expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
      expect(answer.headers["x-request-id"]).toEqual(expect.any(String));
      expect(answer.headers).toMatchObject(headers);
      expect(answer.headers["set-cookie"]).toBeUndefined();
    });

    it("stored nothing of all that", async () => {
      expect(await storedOf("vis_refused")).toStrictEqual([]);
    });

    it("lists the errors of a batch without a valid event", async () => {
      const { body } = await h.send({ body: { events: [{}, { type: "email_open" }] } });
      expect(body["errors"]).toStrictEqual([
        { index: 0, code: "missing_field", message: "type is required" },
        { index: 1, code: "unsupported_event_type", message: 'type "email_open" is not accepted here' },
      ]);
    });

    it("shows neither keys nor bodies in an answer", async () => {
      const { text } = await h.send({ headers: key("cs_live_secret"), body: '{"secret-body' });
      expect(text).not.toMatch(/cs_live_secret|secret-body/);
    });
  });

  it.each([
    ["header", { headers: {} }],
    ["query (beacon)", { headers: key(""), path: "/v1/events?key=browser" }],
    ["bearer", { headers: { ...key(""), Authorization: "Bearer browser" } }],
  ])("takes the key from the %s", async (_name, request: Sent) => {
    expect((await h.send({ ...request, body: { events: [event()] } })).status).toBe(202);
  });

  it.each([
    ["a beacon as text (P20)", { "Content-Type": "text/plain;charset=UTF-8" }, false],
    ["a form", { "Content-Type": "application/x-www-form-urlencoded" }, false],
    ["upper case and a charset", { "Content-Type": 'Application/JSON; charset="utf-8"' }, false],
    ["gzip", { "Content-Encoding": "gzip" }, true],
    ["chunks", { "Transfer-Encoding": "chunked" }, false],
  ])("accepts %s", async (_name, headers, zipped) => {
    const text = JSON.stringify({ events: [event()], sdk: { name: "x" }, other: 1 });
    expect((await h.send({ headers, body: zipped ? gzipSync(text) : text })).status).toBe(202);
  });

  it("drops without consent: no cookie, nothing stored (P1, P2, P3)", async () => {
    const visitorId = "vis_dropped0000000000000";
    const answers = await Promise.all([
      h.send({ body: { events: [event({ visitorId, consent: { analytics: false } })] } }),
      h.send({ headers: key("gdpr"), body: { events: [event({ visitorId })] } }),
      h.send({ headers: { ...key("cpra"), "Sec-GPC": "1" }, body: { events: [event({ visitorId })] } }),
    ]);
    expect(answers.map((answer) => [answer.status, answer.body["accepted"], answer.body["dropReasons"]])).toStrictEqual([
      [202, 0, { no_consent: 1 }],
      [202, 0, { no_consent: 1 }],
      [202, 0, { privacy_signal: 1 }],
    ]);
    expect(answers.every((answer) => answer.headers["set-cookie"] === undefined)).toBe(true);
    expect(await storedOf(visitorId)).toStrictEqual([]);
  });

  it("keeps the good events of a batch (P17)", async () => {
    const { status, body } = await h.send({ body: { events: [event(), event(), event({ page: {} }), event(), event()] } });
    expect([status, body["accepted"], body["rejected"]]).toStrictEqual([202, 4, 1]);
    expect(body["errors"]).toStrictEqual([{ index: 2, code: "missing_field", message: "page.path is required" }]);
  });

  it("counts repeats of an acknowledged event, per tenant and visitor (P7)", async () => {
    const visitorId = "vis_repeat00000000000000";
    const same = event({ visitorId, _eid: "e-1" });
    expect((await h.send({ body: { events: [same, same] } })).body).toMatchObject({ accepted: 1, duplicates: 1 });
    expect((await h.send({ body: { events: [same] } })).body).toMatchObject({ accepted: 0, duplicates: 1 });
    expect((await h.send({ headers: key("other"), body: { events: [same] } })).body).toMatchObject({ accepted: 1, duplicates: 0 });
    expect((await h.send({ body: { events: [event({ _eid: "e-1" })] } })).body).toMatchObject({ accepted: 1, duplicates: 0 });
    expect((await storedOf(visitorId)).map((input) => input.tenantId).sort()).toStrictEqual(["ten_1", "ten_2"]);
  });

  it("corrects a wrong clock (P9) and stores a batch in the order of its events (P10)", async () => {
    const visitorId = "vis_clock000000000000000";
    const before = now();
    await h.send({ body: { events: [event({ visitorId, timestamp: before + 7_200_000 })] } });
    const sentAt = 5_000_000;
    const click = (offset: number, _eid: string) => event({ visitorId, type: "click", timestamp: sentAt - offset, _eid });
    await h.send({ body: { sentAt, events: [click(1_000, "b"), click(400, "c"), click(1_400, "a")] } });
    const [first, ...clicks] = await storedOf(visitorId);
    if (first?.kind !== "visit") throw new Error("nothing stored");
    expect(first.et).toBe(first.ts);
    expect(first.ts).toBeGreaterThanOrEqual(before);
    const visits = clicks.map((input) => (input.kind === "visit" ? input : undefined));
    expect(visits.map((visit) => visit?.eid)).toStrictEqual(["a", "b", "c"]);
    expect(visits.map((visit) => (visit ? visit.et - visit.ts : 0))).toStrictEqual([-1_400, -1_000, -400]);
  });

  it("takes a backend's events without a session, and edge capture (P14, P16)", async () => {
    const visitorId = "srv-visitor";
    const backend = event({ visitorId, sessionId: undefined, device: { userAgent: "python-httpx/0.27" } });
    const answer = await h.send({ headers: key("server"), body: { events: [backend] } });
    await h.send({ headers: { ...key("server"), "X-Capture": "edge" }, body: { events: [event({ visitorId })] } });
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(await storedOf(visitorId)).toMatchObject([
      { keyType: "server", origin: "server", scored: false, sessionId: expect.stringMatching(/^sess_srv_/) },
      { keyType: "server", origin: "edge", scored: false, sessionId: "" },
    ]);
  });

  it("believes edge headers from a configured proxy only", async () => {
    const visitorId = "vis_edge0000000000000000";
    await h.send({ headers: { "X-Edge-Bot-Score": "5", "X-Forwarded-Proto": "https" }, body: { events: [event({ visitorId })] } });
    expect((await storedOf(visitorId))[0]).not.toHaveProperty("edge");
  });

  it("scrubs what is stored (P11, P12)", async () => {
    const visitorId = "vis_scrub000000000000000";
    const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    const paths = ["/u/jane.doe@example.com/orders", `/reset/${jwt}?x=1#y`];
    await h.send({ body: { events: paths.map((path) => event({ visitorId, page: { path, title: "" } })) } });
    expect((await storedOf(visitorId)).map((input) => input.kind === "visit" && input.path)).toStrictEqual([
      "/u/[email]/orders",
      "/reset/[token]",
    ]);
  });

  it("refuses the huge event and keeps its neighbour", async () => {
    const big = event({
      type: "custom",
      name: "x",
      properties: Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`k${i}`, "y".repeat(100)])),
    });
    const { status, body } = await h.send({ body: { events: [big, event()] } });
    expect([status, body["accepted"]]).toStrictEqual([202, 1]);
    expect(body["errors"]).toMatchObject([{ index: 0, code: "event_too_large" }]);
  });

  it("survives hostile objects and lone surrogates", async () => {
    const visitorId = "vis_hostile";
    const text = JSON.stringify({ events: [event({ visitorId: "\ud800", _eid: "\udc00\ud800" }), event({ visitorId })] }).replaceAll(
      '{"type"',
      '{"__proto__":{"visitorId":"polluted"},"constructor":{"prototype":{"x":1}},"toString":null,"type"',
    );
    expect((await h.send({ body: text })).body).toMatchObject({ accepted: 2 });
    expect(await storedOf("\ufffd")).toHaveLength(1);
    expect(await storedOf(visitorId)).toHaveLength(1);
    expect(JSON.stringify(await h.stored())).not.toContain("polluted");
  });

  it("answers preflights of registered origins", async () => {
    await h.registerSite(site());
    const preflight = (origin: string) => h.send({ method: "OPTIONS", headers: { ...key(""), "Content-Type": "", Origin: origin } });
    const allowed = await preflight("https://www.shop.example");
    expect(allowed.status).toBe(204);
    expect(allowed.headers).toMatchObject({
      "access-control-allow-origin": "https://www.shop.example",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "POST, OPTIONS",
      "access-control-allow-headers": "Content-Type, X-API-Key, Authorization",
      "access-control-max-age": "86400",
      vary: "Origin",
    });
    expect((await preflight("https://nobody.example")).body).toMatchObject({ error: "origin_not_allowed" });
    expect((await preflight("null")).status).toBe(403);
    expect((await h.send({ method: "OPTIONS", headers: key("") })).status).toBe(204);
  });

  it("lets a registered page read the answer, refusals included", async () => {
    await h.registerSite(site());
    const headers = { Origin: "https://shop.example" };
    const cors = { "access-control-allow-origin": "https://shop.example", "access-control-allow-credentials": "true" };
    expect((await h.send({ headers, body: { events: [event()] } })).headers).toMatchObject(cors);
    expect((await h.send({ headers, body: "{" })).headers).toMatchObject(cors);
    const foreign = await h.send({ headers: { Origin: "https://evil.example" }, body: { events: [event()] } });
    expect(foreign.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("tells a page of another tenant nothing", async () => {
    await h.registerSite({ ...site(), id: "site_other", tenantId: "ten_2", domains: ["other.example"] });
    const answer = await h.send({ headers: { Origin: "https://other.example" }, body: { events: [event()] } });
    expect(answer.body).toMatchObject({ error: "origin_not_allowed" });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });

  it("limits by key: a batch fits whole or not at all (P19)", async () => {
    const batch = { events: Array.from({ length: 50 }, () => event()) };
    stoppedAt = performance.now();
    try {
      const answers = [];
      for (let i = 0; i < 5; i++) answers.push(await h.send({ headers: key("free"), body: batch }));
      expect(answers.slice(0, 4).map((answer) => answer.status)).toStrictEqual([202, 202, 202, 202]);
      const last = answers[4];
      expect(last?.body).toMatchObject({ error: "rate_limit_exceeded", retryAfter: 1 });
      expect(last?.headers).toMatchObject({ "retry-after": "1", "x-ratelimit-limit": "200", "x-ratelimit-scope": "key" });
      expect((await h.send({ body: batch })).status).toBe(202);
    } finally {
      // The tests behind this one need a clock that goes on.
      stoppedAt = undefined;
    }
  });

  it("tells unknown routes apart", async () => {
    expect((await h.send({ path: "/v1/events/x", body: {} })).body).toMatchObject({ error: "not_found" });
    expect((await h.send({ path: "/v1/optout/%zz", method: "DELETE" })).body).toMatchObject({ error: "invalid_request" });
  });

  it("counts outcomes for a scrape", async () => {
    const text = await h.service.metrics.metrics();
    expect(text).toMatch(/headwater_ingest_events_total\{outcome="accepted",service="ingest"\} \d+/);
    expect(text).toMatch(/headwater_ingest_refused_requests_total\{code="invalid_json",service="ingest"\} [1-9]/);
    expect(text).toContain("headwater_ingest_ack_seconds_count");
  });
});

describe("registered hosts and trusted proxies", () => {
  let h: Harness;
  const trust = { proxies: [{ bytes: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]), bits: 128 }] };
  beforeAll(async () => {
    h = await startHarness({
      keys: { hosted: { ok: true, credential: credential({ sites: [site({ trackingHosts: ["t.shop.example"] })] }) } },
      config: { requireRegisteredHost: true, trust: { ...trust, edges: trust.proxies } },
    });
  });
  afterAll(() => h.stop());
  const post = (headers: Record<string, string>) =>
    h.send({ headers: { "X-API-Key": "hosted", ...headers }, body: { events: [event({ visitorId: "vis_h" })] } });

  it("accepts events on a registered host only", async () => {
    expect((await post({ Host: "t.shop.example:7210" })).status).toBe(202);
    expect((await post({ Host: "t.other.example" })).body).toMatchObject({ error: "domain_not_allowed" });
    expect((await post({ "X-Forwarded-Host": "t.shop.example" })).status).toBe(202);
  });

  it("believes a trusted proxy about https and the client", async () => {
    const answer = await post({ Host: "t.shop.example", "X-Forwarded-Proto": "https", "X-Edge-Bot-Score": "5", "X-Edge-Country": "de" });
    expect(answer.headers["set-cookie"]).toStrictEqual(["_cs_uid=vis_h; Path=/; Max-Age=31536000; SameSite=Lax; Secure"]);
    expect((await h.stored()).at(-1)).toMatchObject({ edge: { botScore: 5, country: "DE" } });
  });
});

/** The shell over a real socket: every answer that any `/api/*` endpoint can give, by status, exact body and headers. */
import net from "node:net";
import type { SessionVerification, SharedLimiter } from "@headwater/messaging";
import { PLAN_LIMITS, type SessionCredential } from "@headwater/protocol";
import { combineHealth, type HttpServer, listenHttp, parseEnv, type Service, systemClock } from "@headwater/runtime";
import { collectingLogger } from "@headwater/testkit";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { ApiEnv, ApiError, AuthLimitEnv, authLimits, createApiShell, type ErrorStyle, maybeSessionOf, sessionOf } from "./index.ts";

const session: SessionCredential = {
  sessionId: "ses_1", userId: "65f123abc456def7890a1b2c", email: "a@example.com", username: "A", tenantId: "ten_1", tenantSlug: "acme", plan: "free",
  limits: PLAN_LIMITS.free, expiresAt: "2036-01-08T00:00:00.000Z", reg: 5,
}; // biome-ignore format: one literal
const SECRET = "postgres://db.internal:5432 SELECT password FROM users";

function world(env: Record<string, string> = {}, errorStyle: ErrorStyle = "api") {
  const { log, lines } = collectingLogger();
  const metrics = new Registry();
  const taken: string[] = [];
  const state: { refuse: string | undefined; verifications: number; verify: (token: string | undefined) => Promise<SessionVerification> } =
    {
      refuse: undefined,
      verifications: 0,
      verify: async (token) => {
        if (token === undefined) return { ok: false, code: "missing" };
        if (token === "away") return { ok: false, code: "unavailable" };
        if (token === "nobody") return { ok: false, code: "claims" };
        return token === "good" ? { ok: true, session } : { ok: false, code: "invalid" };
      },
    };
  const limiter: SharedLimiter = {
    async take(key) {
      taken.push(key);
      return state.refuse !== undefined && key.startsWith(state.refuse) ? { ok: false, retryAfterMs: 1_200 } : { ok: true };
    },
    hold: async () => ({ ok: true, release: () => undefined }),
    stop: () => undefined,
  };
  const shell = createApiShell({
    log,
    clock: systemClock,
    metrics,
    verifySession: (token) => {
      state.verifications++;
      return state.verify(token);
    },
    limiter,
    config: parseEnv(ApiEnv, { REQUEST_TIMEOUT_MS: "200", TRUSTED_PROXIES: "127.0.0.1", ...env }),
    routeLimits: authLimits(parseEnv(AuthLimitEnv, {})),
    errorStyle,
  });
  const never = new Promise<never>(() => undefined);
  const long = { begun: Promise.withResolvers<void>(), over: Promise.withResolvers<void>() };
  shell.routes.get("/api/auth/me", shell.session, (req, res) => void res.json({ userId: sessionOf(req).userId }));
  shell.routes.get("/api/marketplace/feeds", shell.maybeSession, (req, res) => void res.json({ who: maybeSessionOf(req)?.userId ?? null }));
  shell.routes.get("/api/marketplace/feeds/:id", (req, res) => void res.json({ id: req.params.id }));
  shell.routes.post("/api/auth/login", shell.json, (req, res) => void res.json({ got: req.body }));
  shell.routes.post("/api/marketplace/feeds", shell.json, (req) => void z.object({ name: z.string() }).parse(req.body));
  shell.routes.put("/api/tools/throws", () => {
    throw new Error(SECRET);
  });
  shell.routes.put("/api/tools/rejects", async () => {
    throw new ApiError("FEED_LIMIT_REACHED", { fields: { limit: 3 } }, { cause: new Error(SECRET) });
  });
  shell.routes.get("/api/tools/hangs", () => never);
  shell.routes.get("/api/tools/late", async (_req, res) => {
    await new Promise((resolve) => res.once("finish", resolve));
    res.json({ late: true });
  });
  shell.routes.get("/api/tools/long", (_req, res) => {
    res.locals["timeoutMs"] = 0;
    long.begun.resolve();
    void long.over.promise.then(() => res.json({ done: true }));
  });
  shell.routes.get("/api/tools/half", (_req, res) => {
    res.write('{"half":');
    throw new Error(SECRET);
  });
  shell.routes.get("/api/tools/unguarded", (req, res) => void res.json(sessionOf(req)));
  return { log, lines, metrics, taken, state, shell, long };
}

let server: HttpServer | undefined;
let w: ReturnType<typeof world>;
async function serve(next: ReturnType<typeof world>): Promise<void> {
  w = next;
  const service: Service = {
    name: "auth", router: w.shell.router, health: () => combineHealth({}), metrics: w.metrics, status: () => ({}), settled: async () => undefined, stop: async () => undefined,
  }; // biome-ignore format: one literal
  const others = (["routing", "intelligence"] as const).map((name): Service => ({ ...service, name }));
  server = await listenHttp({ services: [service, ...others], host: "127.0.0.1", port: 0, log: w.log, health: service.health });
}
beforeEach(() => serve(world()));
afterEach(async () => {
  await server?.close(100);
  server = undefined;
});

async function ask(method: string, path: string, init: { body?: string | Uint8Array<ArrayBuffer>; headers?: Record<string, string> } = {}) {
  const answer = await fetch(`${server?.url}${path}`, { method, ...init });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text };
}
const envelope = (message: string, code: string): string => JSON.stringify({ success: false, message, code });
const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

describe("errors that any endpoint can return", () => {
  it.each([
    [{}, "missing token", "MISSING_TOKEN"],
    [{ headers: { Authorization: "Basic Z29vZA==" } }, "missing token", "MISSING_TOKEN"],
    [{ headers: { Authorization: "Bearer" } }, "missing token", "MISSING_TOKEN"],
    [bearer("bad"), "invalid token", "INVALID_TOKEN"],
    [bearer("nobody"), "invalid token", "INVALID_TOKEN"],
  ])("401 for %j", async (init, message, code) => {
    const answer = await ask("GET", "/api/auth/me", init);
    expect([answer.status, answer.text]).toEqual([401, envelope(message, code)]);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  });

  it("503 when nobody can tell who it is", async () => {
    const answer = await ask("GET", "/api/auth/me", bearer("away"));
    expect([answer.status, answer.text]).toEqual([503, envelope("service unavailable", "SERVICE_UNAVAILABLE")]);
    expect(answer.headers.get("retry-after")).toBe("1");
  });

  it.each(["/api/x", "/api/auth", "/api/marketplace/nothing", "/api/llm/query", "/api/tools/%zz", "/v1/keys/k/x", "/api/AUTH/me"])(
    "404 for %s",
    async (path) => {
      const answer = await ask("GET", path);
      expect([answer.status, answer.text]).toEqual([404, envelope("route not found", "ROUTE_NOT_FOUND")]);
    },
  );

  it("404 for a broken escape in a parameter", async () => {
    const answer = await ask("GET", "/api/marketplace/feeds/%zz");
    expect([answer.status, answer.text]).toEqual([404, envelope("route not found", "ROUTE_NOT_FOUND")]);
  });

  it("405 for a path that has other methods", async () => {
    const answer = await ask("DELETE", "/api/marketplace/feeds");
    expect([answer.status, answer.text]).toEqual([405, envelope("method not allowed", "METHOD_NOT_ALLOWED")]);
    expect(answer.headers.get("allow")).toBe("GET, POST");
  });

  it.each(["not json", "[]", "null", '"x"', "{", `{"a":${"[".repeat(70)}${"]".repeat(70)}}`])("400 for the body %s", async (body) => {
    const answer = await ask("POST", "/api/auth/login", { body });
    expect([answer.status, answer.text]).toEqual([400, envelope("invalid payload", "INVALID_PAYLOAD")]);
  });

  it("400 for what the schema of a route refuses", async () => {
    const answer = await ask("POST", "/api/marketplace/feeds", { body: '{"name":7}' });
    expect([answer.status, answer.text]).toEqual([400, envelope("invalid payload", "INVALID_PAYLOAD")]);
  });

  it("413 for a body over 1 MiB, told or found out", async () => {
    const fits = JSON.stringify({ a: "x".repeat(1_048_576 - 8) });
    expect((await ask("POST", "/api/auth/login", { body: fits })).status).toBe(200);
    const told = await ask("POST", "/api/auth/login", { body: `${fits} ` });
    expect([told.status, told.text]).toEqual([413, envelope("payload too large", "PAYLOAD_TOO_LARGE")]);
    // Chunked: the size is not said in advance, and the rest is not waited for.
    const found = await raw(
      "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
      `${(1_048_577).toString(16)}\r\n${"x".repeat(1_048_577)}\r\n`,
    );
    expect(found).toMatch(/^HTTP\/1\.1 413 /);
    expect(found).toContain(envelope("payload too large", "PAYLOAD_TOO_LARGE"));
    expect(found.toLowerCase()).toContain("connection: close");
  });

  it("415 for a compressed body", async () => {
    const answer = await ask("POST", "/api/auth/login", { body: Uint8Array.of(0x1f, 0x8b), headers: { "Content-Encoding": "gzip" } });
    expect([answer.status, answer.text]).toEqual([415, envelope("content encoding is not supported", "UNSUPPORTED_MEDIA_TYPE")]);
  });

  it("429 with the time to wait", async () => {
    w.state.refuse = "http:all:";
    const answer = await ask("GET", "/api/marketplace/feeds", { headers: { Origin: "http://localhost:7200" } });
    expect([answer.status, answer.text]).toEqual([
      429,
      '{"success":false,"message":"Rate limit exceeded. Please try again later.","code":"RATE_LIMITED","error":"too_many_requests"}',
    ]);
    expect(answer.headers.get("retry-after")).toBe("2");
    // A browser may read it.
    expect(answer.headers.get("access-control-allow-origin")).toBe("http://localhost:7200");
  });

  it.each(["/api/tools/throws", "/api/tools/unguarded"])("500 without a word about the cause: %s", async (path) => {
    const answer = await ask(path.endsWith("throws") ? "PUT" : "GET", path);
    expect([answer.status, answer.text]).toEqual([500, envelope("internal error", "INTERNAL")]);
    expect(JSON.stringify([...answer.headers])).not.toContain("internal:5432");
    expect(w.lines().some(({ msg }) => msg === "http.unhandled")).toBe(true);
  });

  it("an ApiError of a handler as it is, without its cause", async () => {
    const answer = await ask("PUT", "/api/tools/rejects");
    expect([answer.status, answer.text]).toEqual([
      403,
      '{"success":false,"message":"feed limit reached","code":"FEED_LIMIT_REACHED","limit":3}',
    ]);
  });

  it("504 when the handler does not answer in time, and nothing after it", async () => {
    const long = ask("GET", "/api/tools/long");
    await w.long.begun.promise;
    for (const path of ["/api/tools/hangs", "/api/tools/late"]) {
      const answer = await ask("GET", path);
      expect([answer.status, answer.text]).toEqual([504, envelope("request timed out", "REQUEST_TIMEOUT")]);
    }
    // It began before those whose time is over now.
    w.long.over.resolve();
    expect((await long).text).toBe('{"done":true}');
  });

  it("504 for a body that does not arrive", async () => {
    const answer = await raw("POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "{");
    expect(answer).toMatch(/^HTTP\/1\.1 504 /);
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  it("cuts an answer that failed half-way instead of completing it", async () => {
    await expect(ask("GET", "/api/tools/half")).rejects.toThrow();
  });

  it("has `error` beside `message` on the LLM surface", async () => {
    await server?.close(100);
    await serve(world({}, "llm"));
    const answer = await ask("GET", "/api/llm/nothing");
    expect(answer.text).toBe('{"success":false,"message":"route not found","error":"route not found","code":"ROUTE_NOT_FOUND"}');
    w.state.refuse = "http:all:";
    expect(JSON.parse((await ask("GET", "/api/llm/nothing")).text)).toMatchObject({ error: "too_many_requests" });
  });
});

describe("sessions", () => {
  it("are asked once per request; the scheme may be written in any case", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER  "]) {
      const answer = await ask("GET", "/api/auth/me", { headers: { Authorization: `${scheme} good` } });
      expect(answer.text).toBe(JSON.stringify({ userId: session.userId }));
    }
    expect(w.state.verifications).toBe(3);
  });

  it("are used where they are optional, and a bad one is anonymous", async () => {
    expect((await ask("GET", "/api/marketplace/feeds", bearer("good"))).text).toBe(JSON.stringify({ who: session.userId }));
    for (const init of [{}, bearer("bad"), bearer("away")])
      expect((await ask("GET", "/api/marketplace/feeds", init)).text).toBe('{"who":null}');
  });
});

describe("limits (W33)", () => {
  it("count an account wherever it comes from, and others by address", async () => {
    const from = (address: string) => ({ "X-Forwarded-For": address });
    await ask("GET", "/api/auth/me", { headers: { ...bearer("good").headers, ...from("203.0.113.9") } });
    await ask("GET", "/api/auth/me", { headers: { ...bearer("bad").headers, ...from("203.0.113.9") } });
    await ask("GET", "/api/marketplace/feeds", { headers: from("2001:db8:1:2:3:4:5:6") });
    await ask("POST", "/api/auth/login/", { headers: { ...bearer("good").headers, ...from("203.0.113.9") } });
    expect(w.taken).toEqual([
      "http:all:u:65f123abc456def7890a1b2c",
      "http:auth:u:65f123abc456def7890a1b2c",
      "http:all:a:203.0.113.9",
      "http:auth:a:203.0.113.9",
      "http:all:a:2001:db8:1:2::/64",
      "http:all:u:65f123abc456def7890a1b2c",
      "http:login:a:203.0.113.9",
    ]);
  });

  it("believe X-Forwarded-For from configured proxies only", async () => {
    await server?.close(100);
    await serve(world({ TRUSTED_PROXIES: "10.0.0.1" }));
    await ask("GET", "/api/marketplace/feeds", { headers: { "X-Forwarded-For": "203.0.113.9" } });
    expect(w.taken).toEqual(["http:all:a:127.0.0.1"]);
  });

  it("refuse login alone", async () => {
    w.state.refuse = "http:login:";
    expect((await ask("POST", "/api/auth/login", { body: "{}" })).status).toBe(429);
    expect((await ask("GET", "/api/auth/me", bearer("good"))).status).toBe(200);
  });
});

describe("headers", () => {
  it("of security are on every answer", async () => {
    for (const [method, path] of [
      ["GET", "/api/marketplace/feeds"],
      ["GET", "/api/x"],
      ["PUT", "/api/tools/throws"],
    ] as const) {
      // biome-ignore format: pairs
      const { headers } = await ask(method, path);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("referrer-policy")).toBe("strict-origin-when-cross-origin");
      expect(headers.get("content-security-policy")).toBe("default-src 'none';frame-ancestors 'none';base-uri 'none'");
      expect(headers.get("permissions-policy")).toContain("camera=()");
      expect(headers.get("strict-transport-security")).toBeNull();
      expect(headers.get("x-powered-by")).toBeNull();
      expect(headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    }
    expect((await ask("GET", "/api/x", { headers: { "X-Forwarded-Proto": "https" } })).headers.get("strict-transport-security")).toMatch(
      /^max-age=\d{8}/,
    );
  });

  it("keep private answers out of caches", async () => {
    const cacheControl = async (...call: Parameters<typeof ask>) => (await ask(...call)).headers.get("cache-control");
    expect(await cacheControl("POST", "/api/auth/login", { body: "{}" })).toBe("no-store");
    expect(await cacheControl("GET", "/api/auth/me", bearer("good"))).toBe("no-store");
    expect(await cacheControl("GET", "/api/marketplace/feeds", bearer("good"))).toBe("no-store");
    expect(await cacheControl("GET", "/api/marketplace/feeds")).toBeNull();
  });

  it("carry the caller's request id when it is a plain token", async () => {
    expect((await ask("GET", "/api/x", { headers: { "X-Request-Id": "abc-1" } })).headers.get("x-request-id")).toBe("abc-1");
    expect((await ask("GET", "/api/x", { headers: { "X-Request-Id": "a b" } })).headers.get("x-request-id")).toMatch(/^req_/);
  });

  it("allow the configured origins, with credentials, and no others", async () => {
    await server?.close(100);
    await serve(world({ CORS_ORIGIN: "https://app.example.com/,http://localhost:7200" }));
    const preflight = await ask("OPTIONS", "/api/auth/me", {
      headers: {
        Origin: "https://app.example.com",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
      },
    });
    expect(preflight.status).toBe(204);
    expect(Object.fromEntries([...preflight.headers].filter(([name]) => name.startsWith("access-control")))).toEqual({
      "access-control-allow-origin": "https://app.example.com",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,OPTIONS",
      "access-control-allow-headers": "Origin,Content-Type,Authorization",
      "access-control-max-age": "43200",
      "access-control-expose-headers": "X-Request-Id,Retry-After",
    });
    // A preflight asks nobody who it is and counts for nobody.
    expect([w.state.verifications, w.taken]).toEqual([0, []]);
    for (const origin of ["https://app.example.com.evil.example", "http://app.example.com", "null", "https://app.example.com:8443"]) {
      const answer = await ask("GET", "/api/marketplace/feeds", { headers: { Origin: origin } });
      expect(answer.headers.get("access-control-allow-origin"), origin).toBeNull();
    }
    expect((await ask("GET", "/api/marketplace/feeds")).headers.get("vary")).toContain("Origin");
  });

  it("allow any origin without credentials when told so", async () => {
    await server?.close(100);
    await serve(world({ CORS_ORIGIN: "*" }));
    const { headers } = await ask("GET", "/api/marketplace/feeds", { headers: { Origin: "https://anyone.example" } });
    expect([headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")]).toEqual(["*", null]);
  });
});

describe("metrics (W35)", () => {
  it("count by route template, never by id", async () => {
    await ask("GET", "/api/marketplace/feeds/65f123abc456def7890a1b2c");
    await ask("GET", "/api/secret-path");
    const text = await w.metrics.metrics();
    expect(text).toContain('headwater_http_request_seconds_count{method="GET",route="/api/marketplace/feeds/:id",status="200"} 1');
    expect(text).toContain('headwater_http_request_seconds_count{method="GET",route="none",status="404"} 1');
    expect(text).not.toContain("65f123");
    expect(text).not.toContain("secret-path");
  });
});

describe("paths of other surfaces", () => {
  it("are left alone", async () => {
    const answer = await ask("GET", "/admin/x");
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text)).toMatchObject({ error: "not_found" });
    expect(w.taken).toEqual([]);
  });
});

/** Writes to a plain socket and reads until the other side hangs up. */
function raw(...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(server?.port ?? 0, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.once("close", () => resolve(text));
    // What comes after the answer may be cut.
    socket.on("error", () => (text === "" ? reject(new Error("cut without an answer")) : undefined));
    for (const part of parts) socket.write(part);
  });
}

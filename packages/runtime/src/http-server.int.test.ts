/** The listener of a process over real sockets: mounting, errors, request ids, upgrades, close; and the admin port beside it. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Duplex, Writable } from "node:stream";
import { Router } from "express";
import { Gauge, Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenAdmin } from "./admin-server.ts";
import { sendError } from "./errors-http.ts";
import { type HttpServer, listenHttp } from "./http-server.ts";
import { createLogger } from "./logger.ts";
import type { DirectHandler, HealthReport, Service } from "./service.ts";

let report: HealthReport;
let logged: string;
let server: HttpServer;
let upgraded: string[];
const released = Promise.withResolvers<void>();

const log = createLogger({
  service: "test",
  destination: new Writable({
    write(chunk, _encoding, done) {
      logged += String(chunk);
      done();
    },
  }),
});

function service(metrics = new Registry()): Service {
  const router = Router();
  router.get("/v1/ok", (_req, res) => void res.json({ ok: true }));
  router.get("/v1/throws", () => {
    throw new Error("secret detail");
  });
  router.get("/v1/rejects", async () => {
    await Promise.reject(new Error("secret detail"));
  });
  router.get("/v1/refuses", (_req, res) =>
    sendError(res, "rate_limit_exceeded", { message: "Slow down", fields: { retryAfter: 3 }, headers: { "Retry-After": "3" } }),
  );
  router.get("/v1/late", (_req, res) => {
    res.write("begun");
    sendError(res, "internal");
  });
  router.get("/v1/hangs", (_req, res) => {
    res.write("begun");
    void released.promise.then(() => res.end());
  });
  return {
    name: "edge",
    router,
    direct: new Map<string, DirectHandler>([
      ["/v1/direct", async (_req, res) => void res.end("direct")],
      ["/v1/direct-rejects", () => Promise.reject(new Error("secret detail"))],
    ]),
    upgrade: (req, socket) => {
      upgraded.push(req.url ?? "");
      socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    },
    health: () => report,
    metrics,
    status: () => ({}),
    settled: async () => undefined,
    stop: async () => undefined,
  };
}

beforeEach(async () => {
  report = { status: "up", checks: { nats: { ok: true } } };
  logged = "";
  upgraded = [];
  server = await listenHttp({ services: [service()], host: "127.0.0.1", port: 0, log, health: () => report });
});
afterEach(() => server.close(0));

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${server.url}${path}`, { headers });

/** Sends raw bytes and collects everything until the other side closes. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket: Socket = connect(server.port, "127.0.0.1", () => socket.write(text));
    socket.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
    socket.on("error", reject).on("close", () => resolve(answer));
  });
}
const upgrade = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Request-Id: my-id\r\n\r\n`;

describe("the public port", () => {
  it("mounts a service's routes", async () => {
    expect(await (await get("/v1/ok")).json()).toEqual({ ok: true });
  });
  it("a fixed name goes to its owner, whoever is mounted first", async () => {
    const named = (name: "scoring" | "edge", path: string): Service => {
      const router = Router();
      router.get(path, (_req, res) => void res.json({ owner: name }));
      return { ...service(), name, router };
    };
    const services = [named("scoring", "/v1/signals/:visitorId"), named("edge", "/v1/signals/stream")];
    const both = await listenHttp({ services, host: "127.0.0.1", port: 0, log, health: () => report });
    try {
      expect(await (await fetch(`${both.url}/v1/signals/stream?key=x`)).json()).toEqual({ owner: "edge" });
      expect(await (await fetch(`${both.url}/v1/signals/vis_1`)).json()).toEqual({ owner: "scoring" });
    } finally {
      await both.close(0);
    }
  });
  it("answers unknown paths in the error envelope", async () => {
    const answer = await get("/nope");
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(answer.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    expect(await answer.json()).toEqual({ error: "not_found", message: "No route for GET /nope" });
  });
  it.each(["/api", "/api/", "/api/marketplace/x", "/v1/keys", "/docs"])("answers %s in the envelope of its surface", async (path) => {
    const answer = await get(path);
    expect([answer.status, await answer.text()]).toEqual([404, '{"success":false,"message":"route not found","code":"ROUTE_NOT_FOUND"}']);
    expect(answer.headers.get("x-request-id")).toMatch(/^req_/);
  });
  it("says no more about a failure under /api than elsewhere", async () => {
    const router = Router();
    router.get("/api/throws", () => {
      throw new Error("secret detail");
    });
    const api = await listenHttp({
      services: [{ ...service(), name: "auth", router }],
      host: "127.0.0.1",
      port: 0,
      log,
      health: () => report,
    });
    try {
      const answer = await fetch(`${api.url}/api/throws`);
      expect([answer.status, await answer.text()]).toEqual([500, '{"success":false,"message":"internal error","code":"INTERNAL"}']);
    } finally {
      await api.close(0);
    }
  });
  it("gives a caller's request id back, unless it is not a plain token", async () => {
    expect((await get("/nope", { "X-Request-Id": "abc-1.2_3" })).headers.get("x-request-id")).toBe("abc-1.2_3");
    expect((await get("/nope", { "X-Request-Id": "a b" })).headers.get("x-request-id")).toMatch(/^req_/);
    expect((await get("/nope", { "X-Request-Id": "x".repeat(65) })).headers.get("x-request-id")).toMatch(/^req_/);
  });
  it("answers a direct path whatever its query says, and no other path", async () => {
    expect(await (await get("/v1/direct?key=a")).text()).toBe("direct");
    expect((await get("/v1/direct/more")).status).toBe(404);
  });
  it.each(["/v1/throws", "/v1/rejects", "/v1/direct-rejects"])("%s: 500 without detail, logged once with it", async (path) => {
    const answer = await get(path);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toEqual({ error: "internal", message: "Internal error" });
    expect(logged.match(/secret detail/g)?.length).toBeGreaterThan(0);
    expect(logged.trim().split("\n")).toHaveLength(1);
  });
  it("a broken percent escape is the caller's fault", async () => {
    const text = await raw("GET /v1/%E0%A4%A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(text).toMatch(/^HTTP\/1.1 40[04] /);
    expect(logged).toBe("");
  });
  it("puts fields and headers of a refusal where clients look", async () => {
    const answer = await get("/v1/refuses");
    expect(answer.status).toBe(429);
    expect(answer.headers.get("retry-after")).toBe("3");
    expect(await answer.text()).toBe('{"error":"rate_limit_exceeded","message":"Slow down","retryAfter":3}');
  });
  it("only ends an answer that has begun", async () => {
    expect(await (await get("/v1/late")).text()).toBe("begun");
  });
  it("does not say what it is made of", async () => {
    expect((await get("/v1/ok")).headers.get("x-powered-by")).toBeNull();
  });
  it("answers garbage with 400 and closes", async () => {
    expect(await raw("this is not HTTP\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
  });
  it("answers an oversized header and closes", async () => {
    expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 4\d\d /);
  });
  it.each([
    ["up", 200],
    ["degraded", 200],
    ["down", 503],
  ] as const)("health %s is %i", async (status, code) => {
    report = { status, checks: {} };
    const answer = await get("/health");
    expect(answer.status).toBe(code);
    expect(await answer.json()).toMatchObject({
      status: status === "up" ? "ok" : "degraded",
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      instances: { edge: report },
    });
  });
});

describe("upgrades", () => {
  it("go to the service that owns the path", async () => {
    expect(await raw(upgrade("/v1/signals/stream?key=x"))).toMatch(/^HTTP\/1.1 101 /);
    expect(upgraded).toEqual(["/v1/signals/stream?key=x"]);
  });
  it.each(["/nope", "/v1/events", "/"])("on %s: a plain 404, then the socket is closed", async (path) => {
    const answer = await raw(upgrade(path));
    expect(answer).toMatch(/^HTTP\/1.1 404 /);
    expect(answer).toContain("X-Request-Id: my-id");
    expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")).toMatchObject({ error: "not_found" });
    expect(upgraded).toEqual([]);
  });
  it("to another protocol are offers: the request is answered as it is", async () => {
    const answer = await raw(
      "GET /v1/ok HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK/);
    expect(answer).toContain('{"ok":true}');
  });
  it("a refused caller that never hangs up is hung up on", async () => {
    const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.resume();
    socket.write(upgrade("/nope"));
    const closed = new Promise((resolve) => socket.once("error", resolve).once("close", resolve));
    // Keeps talking to a socket whose other end is gone: the reset ends it.
    const talk = setInterval(() => socket.write("x"), 50);
    await closed;
    clearInterval(talk);
    expect(socket.destroyed).toBe(true);
  });
});

describe("close", () => {
  it("cuts a request that outlives its budget", async () => {
    const answer = await get("/v1/hangs");
    const body = answer.text();
    const started = performance.now();
    await Promise.all([server.close(50), expect(body).rejects.toThrow()]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
  it("waits for requests, and not for what was upgraded", async () => {
    const held = Promise.withResolvers<Duplex>();
    const keep: Service["upgrade"] = (_req, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
      held.resolve(socket);
    };
    const gate = Promise.withResolvers<void>();
    const direct = new Map<string, DirectHandler>([
      [
        "/v1/waits",
        async (_req, res) => {
          res.write("begun");
          await gate.promise;
          res.end(" and ended");
        },
      ],
    ]);
    const own = await listenHttp({
      services: [{ ...service(), upgrade: keep, direct }],
      host: "127.0.0.1",
      port: 0,
      log,
      health: () => report,
    });
    const client = connect(own.port, "127.0.0.1", () => client.write(upgrade("/v1/signals/stream")));
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 101 /);
    const request = await fetch(`${own.url}/v1/waits`, { headers: { Connection: "close" } });
    let isClosed = false;
    const closed = own.close(60_000).then(() => (isClosed = true));
    await expect(fetch(`${own.url}/v1/ok`)).rejects.toThrow();
    expect(isClosed).toBe(false);
    gate.resolve();
    expect(await request.text()).toBe("begun and ended");
    await closed;
    // The service still has its socket, and may say goodbye on it.
    (await held.promise).end("bye");
    expect(String((await once(client, "data"))[0])).toBe("bye");
    client.destroy();
  });
  it("takes no new connection", async () => {
    await server.close(0);
    await expect(get("/v1/ok")).rejects.toThrow();
  });
  it("a port in use is an error of the start, not of the process", async () => {
    await expect(listenHttp({ services: [], host: "127.0.0.1", port: server.port, log, health: () => report })).rejects.toThrow(
      /EADDRINUSE/,
    );
  });
});

describe("the admin port", () => {
  it("serves metrics, liveness and readiness, and nothing else", async () => {
    const metrics = new Registry();
    new Gauge({ name: "things", help: "things", registers: [metrics] }).set(3);
    const admin = await listenAdmin([service(metrics)], "127.0.0.1", 0);
    const at = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${admin.port}${path}`);
    expect(await (await at("/metrics")).text()).toContain("things 3");
    expect((await at("/health/live")).status).toBe(200);
    expect(await (await at("/health/ready?x=1")).json()).toEqual([{ name: "edge", ...report }]);
    report = { status: "down", checks: { nats: { ok: false, detail: "gone" } } };
    expect((await at("/health/ready")).status).toBe(503);
    expect((await at("/health/live")).status).toBe(200);
    expect((await at("/v1/ok")).status).toBe(404);
    await admin.close();
  });
  it("a metric that cannot be collected is a 500, not the end of the process", async () => {
    const metrics = new Registry();
    new Gauge({
      name: "broken",
      help: "broken",
      registers: [metrics],
      collect: () => {
        throw new Error("cannot");
      },
    });
    const admin = await listenAdmin([service(metrics)], "127.0.0.1", 0);
    expect((await fetch(`http://127.0.0.1:${admin.port}/metrics`)).status).toBe(500);
    await admin.close();
  });
});

/** The API reference over a real socket: complete by itself, and under a policy that lets nothing else run. */
import { type ApiShell, ApiEnv, createApiShell } from "@headwater/api-http";
import { combineHealth, type HttpServer, listenHttp, parseEnv, systemClock } from "@headwater/runtime";
import { quietLogger } from "@headwater/testkit";
import { Registry } from "prom-client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docsRoutes } from "./docs-routes.ts";

let server: HttpServer;
beforeAll(async () => {
  const log = quietLogger();
  const metrics = new Registry();
  const shell: ApiShell = createApiShell({
    log, clock: systemClock, metrics, config: parseEnv(ApiEnv, {}),
    verifySession: async () => ({ ok: false, code: "missing" }),
    limiter: { take: async () => ({ ok: true }), hold: async () => ({ ok: true, release: () => undefined }), stop: () => undefined },
  }); // biome-ignore format: one call
  await docsRoutes(shell);
  const health = () => combineHealth({});
  server = await listenHttp({
    services: [{ name: "auth", router: shell.router, health, metrics, status: () => ({}), settled: async () => undefined, stop: async () => undefined }],
    host: "127.0.0.1", port: 0, log, health,
  }); // biome-ignore format: one call
});
afterAll(() => server.close(0));

describe("/docs", () => {
  it("needs nothing from elsewhere and allows no inline script and no eval", async () => {
    const page = await fetch(`${server.url}/docs`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self';");
    expect(policy).not.toContain("unsafe-eval");
    const html = await page.text();
    expect(html).not.toMatch(/<script>|\son\w+=|https?:/);
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => asset);
    expect(assets).toHaveLength(4);
    for (const asset of assets) {
      const file = await fetch(`${server.url}${asset}`);
      expect([file.status, file.headers.get("x-content-type-options")], asset).toEqual([200, "nosniff"]);
      expect((await file.arrayBuffer()).byteLength, asset).toBeGreaterThan(50);
    }
    expect((await fetch(`${server.url}/docs/`)).status).toBe(200);
  });

  it.each(["/docs/nothing.js", "/docs/package.json", "/docs/..%2fpackage.json", "/docs/index.html"])("has no %s", async (path) => {
    const answer = await fetch(`${server.url}${path}`);
    expect([answer.status, await answer.json()]).toEqual([404, { success: false, message: "route not found", code: "ROUTE_NOT_FOUND" }]);
  });
});

it("/openapi/spec.json is the generated document, for the address it was asked at", async () => {
  const answer = await fetch(`${server.url}/openapi/spec.json`);
  const document = (await answer.json()) as { openapi: string; servers: unknown; paths: Record<string, unknown> };
  expect([answer.status, document.openapi, document.servers]).toEqual([200, "3.1.0", [{ url: "/" }]]);
  expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(["/v1/events", "/api/auth/login", "/v1/keys"]));
});

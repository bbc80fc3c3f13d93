/** The routes that auth really serves are those of the OpenAPI document, and the other way round. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ApiEnv, createApiShell, listRoutes } from "@headwater/api-http";
import { createLogger, parseEnv, systemClock } from "@headwater/runtime";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import type { AccountPorts } from "./account-ports.ts";
import { accountRoutes } from "./account-routes.ts";
import { docsRoutes } from "./docs-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { sessionRoutes } from "./session-routes.ts";
import { twoFactorRoutes } from "./two-factor-routes.ts";

it("serves what the document says, and nothing else", async () => {
  const shell = createApiShell({
    log: createLogger({ service: "test", level: "silent" }), clock: systemClock, metrics: new Registry(), config: parseEnv(ApiEnv, {}),
    verifySession: async () => ({ ok: false, code: "missing" }),
    limiter: { take: async () => ({ ok: true }), hold: async () => ({ ok: true, release: () => undefined }), stop: () => undefined },
  }); // biome-ignore format: one call
  // Registering a route uses no port.
  const ports = {} as AccountPorts;
  for (const register of [accountRoutes, twoFactorRoutes, sessionRoutes, keyRoutes]) register(shell, ports);
  await docsRoutes(shell);
  const document = JSON.parse(readFileSync(fileURLToPath(import.meta.resolve("@headwater/protocol/openapi.json")), "utf8")) as {
    paths: Record<string, Record<string, { tags?: string[] }>>;
  };
  const described = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { tags }]) => (tags?.includes("auth") ? [`${method.toUpperCase()} ${path}`] : [])),
  );
  expect(listRoutes(shell).filter((route) => !route.startsWith("GET /docs/"))).toEqual(described.sort());
});

/** The routes that routing really serves are those of the OpenAPI document, and the other way round. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ApiEnv, createApiShell, listRoutes } from "@headwater/api-http";
import { createLogger, parseEnv, systemClock } from "@headwater/runtime";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { feedDataRoutes } from "./feed-data-routes.ts";
import { feedRoutes } from "./feed-routes.ts";
import type { MarketplacePorts } from "./marketplace-ports.ts";
import { secretRoutes } from "./secret-routes.ts";
import { settingsRoutes } from "./settings-routes.ts";
import { subscriptionRoutes } from "./subscription-routes.ts";

it("serves what the document says, and nothing else", () => {
  const shell = createApiShell({
    log: createLogger({ service: "test", level: "silent" }), clock: systemClock, metrics: new Registry(), config: parseEnv(ApiEnv, {}),
    verifySession: async () => ({ ok: false, code: "missing" }),
    limiter: { take: async () => ({ ok: true }), hold: async () => ({ ok: true, release: () => undefined }), stop: () => undefined },
  }); // biome-ignore format: one call
  // Registering a route uses no port.
  const ports = {} as MarketplacePorts;
  for (const register of [feedRoutes, subscriptionRoutes, feedDataRoutes, settingsRoutes, secretRoutes]) register(shell, ports);
  const document = JSON.parse(readFileSync(fileURLToPath(import.meta.resolve("@headwater/protocol/openapi.json")), "utf8")) as {
    paths: Record<string, Record<string, { tags?: string[] }>>;
  };
  const described = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { tags }]) => (tags?.includes("routing") ? [`${method.toUpperCase()} ${path}`] : [])),
  );
  expect(listRoutes(shell)).toEqual(described.sort());
});

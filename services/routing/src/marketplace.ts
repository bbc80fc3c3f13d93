/**
 * Composition of the marketplace: stores, ports and the routes under `/api/marketplace`, `/api/settings`, `/api/tools`, `/api/filters`, inside
 * the shell of packages/api-http. Part of service.ts, which owns memory, registry and connections. Tests: marketplace*.int.test.ts.
 */
import { ApiError, type ApiConfig, createApiShell } from "@headwater/api-http";
import type { CredentialClient, SharedLimiter } from "@headwater/messaging";
import { isDatabaseAway } from "@headwater/postgres";
import type { Deps } from "@headwater/runtime";
import type { NextFunction, Request, Response, Router } from "express";
import type { Registry } from "prom-client";
import { feedDataRoutes } from "./adapters/feed-data-routes.ts";
import { feedRoutes } from "./adapters/feed-routes.ts";
import type { MarketplacePorts } from "./adapters/marketplace-ports.ts";
import { secretRoutes } from "./adapters/secret-routes.ts";
import { settingsRoutes } from "./adapters/settings-routes.ts";
import { subscriptionRoutes } from "./adapters/subscription-routes.ts";

export interface MarketplaceOptions {
  config: ApiConfig;
  deps: Pick<Deps, "log" | "clock">;
  ports: MarketplacePorts;
  credentials: Pick<CredentialClient, "verifySession">;
  limiter: SharedLimiter;
  metrics: Registry;
}

export function composeMarketplace({ config, deps, ports, credentials, limiter, metrics }: MarketplaceOptions): Router {
  const shell = createApiShell({
    log: deps.log,
    clock: deps.clock,
    metrics,
    verifySession: (token) => credentials.verifySession(token),
    limiter,
    config,
  });
  feedRoutes(shell, ports);
  subscriptionRoutes(shell, ports);
  feedDataRoutes(shell, ports);
  settingsRoutes(shell, ports);
  secretRoutes(shell, ports);
  shell.routes.use((error: unknown, _req: Request, _res: Response, next: NextFunction) => {
    if (!isDatabaseAway(error)) return next(error);
    next(new ApiError("SERVICE_UNAVAILABLE", { headers: { "Retry-After": "2" } }, { cause: error }));
  });
  return shell.router;
}

/**
 * Composition of accounts: stores, tokens and the routes under `/api/auth` and `/v1/keys`, inside the shell of packages/api-http. Part of
 * service.ts, which owns memory, registry and connections. Tests: accounts.int.test.ts and its neighbours.
 */
import { ApiError, authLimits, createApiShell } from "@headwater/api-http";
import { RpcError, type RpcHandler, type SharedLimiter } from "@headwater/messaging";
import { UsageRequest } from "@headwater/protocol";
import { createClientAddress, createSealer, type Deps } from "@headwater/runtime";
import type { NextFunction, Request, Response, Router } from "express";
import type { Registry } from "prom-client";
import { AccountKeyStore } from "./adapters/account-key-store.ts";
import type { AccountChange, AccountPorts } from "./adapters/account-ports.ts";
import { accountRoutes } from "./adapters/account-routes.ts";
import { AccountStore, type AccountStoreOptions } from "./adapters/account-store.ts";
import { pruneAttempts } from "./adapters/attempts.ts";
import { docsRoutes } from "./adapters/docs-routes.ts";
import { keyRoutes } from "./adapters/key-routes.ts";
import type { LoginTokens } from "./adapters/login-tokens.ts";
import { createPasswordHasher } from "./adapters/passwords.ts";
import { sessionRoutes } from "./adapters/session-routes.ts";
import { SessionStore } from "./adapters/session-store.ts";
import type { SessionVerifier } from "./adapters/session-verifier.ts";
import { isDatabaseAway } from "./adapters/transaction.ts";
import { twoFactorRoutes } from "./adapters/two-factor-routes.ts";
import { TwoFactorStore } from "./adapters/two-factor-store.ts";
import { UsageStore } from "./adapters/usage-store.ts";
import type { AuthConfig } from "./config.ts";

export interface AccountsOptions {
  config: AuthConfig;
  deps: Deps;
  store: AccountStoreOptions;
  tokens: LoginTokens;
  verifier: SessionVerifier;
  limiter: SharedLimiter;
  metrics: Registry;
  applied(change: AccountChange): Promise<void>;
}

export interface Accounts {
  router: Router;
  /** `svc.auth.usage`. */
  usage: RpcHandler;
  /** Writes when sessions were last used. */
  touchSessions(ids: string[], at: Date): Promise<void>;
  /** Deletes what has run out. */
  prune(): Promise<void>;
}

export async function composeAccounts(options: AccountsOptions): Promise<Accounts> {
  const { config, deps, store } = options;
  const sessions = new SessionStore(store);
  const usage = new UsageStore({ ...store, quotaPerMonth: config.tokenQuotaPerMonth });
  const ports: AccountPorts = {
    accounts: new AccountStore(store),
    sessions,
    twoFactor: new TwoFactorStore(store),
    keys: new AccountKeyStore(store),
    usage,
    hasher: await createPasswordHasher({ concurrency: config.hashConcurrency, maxWaiting: config.hashMaxWaiting }),
    tokens: options.tokens,
    sealer: createSealer(deps.secrets.encryptionKey),
    now: () => deps.clock.now(),
    addressOf: createClientAddress(config.api.TRUSTED_PROXIES),
    applied: options.applied,
    log: deps.log,
  };
  const shell = createApiShell({
    log: deps.log,
    clock: deps.clock,
    metrics: options.metrics,
    verifySession: (token) => options.verifier.verify(token),
    limiter: options.limiter,
    config: config.api,
    routeLimits: authLimits(config.authLimits),
  });
  accountRoutes(shell, ports);
  twoFactorRoutes(shell, ports);
  sessionRoutes(shell, ports);
  keyRoutes(shell, ports);
  await docsRoutes(shell);
  shell.routes.use((error: unknown, _req: Request, _res: Response, next: NextFunction) => {
    if (!isDatabaseAway(error)) return next(error);
    next(new ApiError("SERVICE_UNAVAILABLE", { headers: { "Retry-After": "2" } }, { cause: error }));
  });
  return {
    router: shell.router,
    async usage(payload) {
      const request = UsageRequest.safeParse(payload);
      if (!request.success) throw new RpcError("invalid_request", "a tenant is required", 400);
      const tokenUsage = await usage.usage(request.data.tenantId, request.data.add);
      if (!tokenUsage) throw new RpcError("not_found", "no such tenant", 404);
      return { tokenUsage };
    },
    touchSessions: (ids, at) => sessions.touch(ids, at),
    async prune() {
      await sessions.prune();
      await usage.prune();
      await pruneAttempts(store.pool, deps.clock.now());
    },
  };
}

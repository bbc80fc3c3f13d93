/** Settings of the auth service, from the environment. Tests: config.test.ts. */
import { type ApiConfig, ApiEnv, AuthLimitEnv } from "@headwater/api-http";
import { type Env, envList, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

export const AuthEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  DATABASE_POOL_SIZE: envNumber(1, 100).default(4).describe("PostgreSQL connections of this instance"),
  AUTH_DEFAULT_DOMAINS: envList().default([]).describe("Domains of the site `main` of a new tenant when none are given; `*` = any"),
  AUTH_LAST_USED_FLUSH_MS: envNumber(100, 3_600_000)
    .default(15_000)
    .describe("How often the time of last use of keys and login sessions is written, ms"),
  AUTH_HASH_CONCURRENCY: envNumber(1, 64).default(2).describe("Passwords hashed at the same time, 19 MiB each"),
  AUTH_HASH_MAX_WAITING: envNumber(0, 10_000).default(64).describe("Passwords that may wait to be hashed; further ones are answered 503"),
  TOKEN_QUOTA_PER_MONTH: envNumber(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("LLM tokens a month for every tenant without a limit of its own; default: that of the plan"),
  ...ApiEnv.shape,
  ...AuthLimitEnv.shape,
});

export interface AuthConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  databasePoolSize: number;
  defaultDomains: string[];
  lastUsedFlushMs: number;
  hashConcurrency: number;
  hashMaxWaiting: number;
  tokenQuotaPerMonth: number | undefined;
  api: ApiConfig;
  authLimits: z.infer<typeof AuthLimitEnv>;
}

export function parseAuthConfig(env: Env): AuthConfig {
  const e = parseEnv(AuthEnv, env);
  return {
    natsConnectTimeoutMs: e.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: e.NATS_REPLICAS,
    databasePoolSize: e.DATABASE_POOL_SIZE,
    defaultDomains: e.AUTH_DEFAULT_DOMAINS,
    lastUsedFlushMs: e.AUTH_LAST_USED_FLUSH_MS,
    hashConcurrency: e.AUTH_HASH_CONCURRENCY,
    hashMaxWaiting: e.AUTH_HASH_MAX_WAITING,
    tokenQuotaPerMonth: e.TOKEN_QUOTA_PER_MONTH,
    // Read by the shell by the names of its own schema.
    api: e,
    authLimits: e,
  };
}

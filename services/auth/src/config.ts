/** Settings of the auth service, from the environment. Tests: config.test.ts. */
import { type Env, envList, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

export const AuthEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  DATABASE_POOL_SIZE: envNumber(1, 100).default(4).describe("PostgreSQL connections of this instance"),
  AUTH_DEFAULT_DOMAINS: envList().default([]).describe("Domains of the site `main` of a new tenant when none are given; `*` = any"),
  AUTH_LAST_USED_FLUSH_MS: envNumber(100, 3_600_000).default(15_000).describe("How often the time of last use of keys is written, ms"),
});

export interface AuthConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  databasePoolSize: number;
  defaultDomains: string[];
  lastUsedFlushMs: number;
}

export function parseAuthConfig(env: Env): AuthConfig {
  const e = parseEnv(AuthEnv, env);
  return {
    natsConnectTimeoutMs: e.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: e.NATS_REPLICAS,
    databasePoolSize: e.DATABASE_POOL_SIZE,
    defaultDomains: e.AUTH_DEFAULT_DOMAINS,
    lastUsedFlushMs: e.AUTH_LAST_USED_FLUSH_MS,
  };
}

/** Settings of the routing service, from the environment. Tests: config.test.ts. */
import { type ApiConfig, ApiEnv } from "@headwater/api-http";
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

export const RoutingEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  DATABASE_POOL_SIZE: envNumber(1, 100).default(4).describe("PostgreSQL connections of this instance"),
  MAX_TOPICS_PER_FEED: envNumber(1, 100_000).default(1_000).describe("Live topics of one feed; the least recently updated one goes"),
  ROUTING_STATE_BYTES: envNumber(1_048_576, 68_719_476_736)
    .default(268_435_456)
    .describe("Memory for feed states of this instance, bytes; colder feeds live in PostgreSQL"),
  ROUTING_SNAPSHOT_INTERVAL_MS: envNumber(100, 600_000).default(10_000).describe("Time between two snapshots of a topic lane, ms"),
  ROUTING_LAST_ACTIVE_FLUSH_MS: envNumber(100, 3_600_000)
    .default(10_000)
    .describe("How often the time of a feed's last message is written, ms"),
  ...ApiEnv.shape,
});

export interface RoutingConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  databasePoolSize: number;
  maxTopicsPerFeed: number;
  stateBytes: number;
  snapshotIntervalMs: number;
  lastActiveFlushMs: number;
  api: ApiConfig;
}

export function parseRoutingConfig(env: Env): RoutingConfig {
  const e = parseEnv(RoutingEnv, env);
  return {
    natsConnectTimeoutMs: e.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: e.NATS_REPLICAS,
    databasePoolSize: e.DATABASE_POOL_SIZE,
    maxTopicsPerFeed: e.MAX_TOPICS_PER_FEED,
    stateBytes: e.ROUTING_STATE_BYTES,
    snapshotIntervalMs: e.ROUTING_SNAPSHOT_INTERVAL_MS,
    lastActiveFlushMs: e.ROUTING_LAST_ACTIVE_FLUSH_MS,
    // Read by the shell by the names of its own schema.
    api: e,
  };
}

/** Settings of the scoring service, from the environment. Tests: config.test.ts. */
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

/** Where an injected crash may happen; for fault tests only (docs/testing.md). */
export const CRASH_POINTS = ["before_publish", "after_publish_before_ack", "mid_snapshot", "after_take_over"] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

export const ScoringEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  DATABASE_POOL_SIZE: envNumber(1, 100).default(4).describe("PostgreSQL connections of this instance"),
  SCORING_STATE_BYTES: envNumber(1_048_576, 68_719_476_736)
    .default(536_870_912)
    .describe("Memory for visitor states of this instance, bytes; colder visitors live in PostgreSQL"),
  SCORING_SNAPSHOT_INTERVAL_MS: envNumber(100, 600_000).default(10_000).describe("Time between two snapshots of a lane, ms"),
  SCORING_READ_DEADLINE_MS: envNumber(50, 30_000).default(2_000).describe("Deadline of a snapshot read, ms"),
  SCORING_CATCH_UP_MS: envNumber(0, 10_000)
    .default(500)
    .describe("How long a snapshot read waits for events accepted before it, ms; then it answers pending"),
  UPGRADE_URL: z.url().default("https://headwater.example/plans").describe("Where a caller with too low a plan is sent"),
  CRASH_AT: z.enum(CRASH_POINTS).optional().describe("Fault tests only: the process ends itself with SIGKILL at this point"),
  CRASH_AFTER: envNumber(0, 1_000_000).default(0).describe("Fault tests only: how often CRASH_AT is passed before the process ends"),
});

export interface ScoringConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  databasePoolSize: number;
  stateBytes: number;
  snapshotIntervalMs: number;
  readDeadlineMs: number;
  catchUpMs: number;
  upgradeUrl: string;
  crash?: { at: CrashPoint; after: number };
}

export function parseScoringConfig(env: Env): ScoringConfig {
  const e = parseEnv(ScoringEnv, env);
  return {
    natsConnectTimeoutMs: e.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: e.NATS_REPLICAS,
    databasePoolSize: e.DATABASE_POOL_SIZE,
    stateBytes: e.SCORING_STATE_BYTES,
    snapshotIntervalMs: e.SCORING_SNAPSHOT_INTERVAL_MS,
    readDeadlineMs: e.SCORING_READ_DEADLINE_MS,
    catchUpMs: e.SCORING_CATCH_UP_MS,
    upgradeUrl: e.UPGRADE_URL,
    ...(e.CRASH_AT === undefined ? {} : { crash: { at: e.CRASH_AT, after: e.CRASH_AFTER } }),
  };
}

/**
 * Plans and every limit per plan, for all four surfaces. All limits are configuration: a tenant may override any of them
 * (`Tenant.limits`), and these are the defaults.
 */
import { z } from "zod";

export const PLANS = ["free", "builder", "scale", "network", "custom"] as const;
export type Plan = (typeof PLANS)[number];

const count = z.number().int().nonnegative();
export const PlanLimits = z.object({
  /** Collector: events per second and key; bursts up to twice that. */
  collectorEventsPerSecond: count,
  pageviewsPerMonth: count,
  behaviouralScores: z.boolean(),
  /** `GET /v1/signals/:visitorId`. */
  snapshotRead: z.boolean(),
  /** Shortest interval between two reads of one visitor, ms; 0 = none ("real-time polling"). */
  snapshotMinIntervalMs: count,
  feedRead: z.boolean(),
  feedWrite: z.boolean(),
  /** Concurrent feed connections of the tenant. */
  feedConnections: count,
  feedMaxDurationMs: count,
  feedReplayMs: count,
  /** Feeds surface. */
  feeds: count,
  feedSubscriptionsPerSocket: count,
  /** Open sockets on `/ws` of the tenant, in the whole cluster. */
  feedSockets: count,
  /** Upstream messages a second and bytes a second of one feed; what is over is dropped and counted. */
  feedMessagesPerSecond: count,
  feedBytesPerSecond: count,
  /** Active API keys of an account. */
  apiKeys: count,
  llmTokensPerMonth: count,
  /** Posts surface. */
  monitors: count,
  rules: count,
  /** Emotion surface. */
  emotionSessions: count,
});
export type PlanLimits = z.infer<typeof PlanLimits>;

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MIB = 1024 * 1024;

export const PLAN_LIMITS: Record<Plan, PlanLimits> = {
  free: {
    collectorEventsPerSecond: 100,
    pageviewsPerMonth: 50_000,
    behaviouralScores: false,
    snapshotRead: false,
    snapshotMinIntervalMs: 10_000,
    feedRead: false,
    feedWrite: false,
    feedConnections: 0,
    feedMaxDurationMs: 0,
    feedReplayMs: 0,
    feeds: 10,
    feedSubscriptionsPerSocket: 500,
    feedSockets: 100,
    feedMessagesPerSecond: 1_000,
    feedBytesPerSecond: 4 * MIB,
    apiKeys: 50,
    llmTokensPerMonth: 1_000_000,
    monitors: 3,
    rules: 10,
    emotionSessions: 10,
  },
  builder: {
    collectorEventsPerSecond: 1_000,
    pageviewsPerMonth: 500_000,
    behaviouralScores: true,
    snapshotRead: true,
    snapshotMinIntervalMs: 10_000,
    feedRead: false,
    feedWrite: false,
    feedConnections: 0,
    feedMaxDurationMs: 0,
    feedReplayMs: 0,
    feeds: 50,
    feedSubscriptionsPerSocket: 500,
    feedSockets: 500,
    feedMessagesPerSecond: 2_000,
    feedBytesPerSecond: 8 * MIB,
    apiKeys: 100,
    llmTokensPerMonth: 5_000_000,
    monitors: 25,
    rules: 100,
    emotionSessions: 100,
  },
  scale: {
    collectorEventsPerSecond: 5_000,
    pageviewsPerMonth: 5_000_000,
    behaviouralScores: true,
    snapshotRead: true,
    snapshotMinIntervalMs: 0,
    feedRead: true,
    feedWrite: false,
    feedConnections: 5,
    feedMaxDurationMs: HOUR,
    feedReplayMs: DAY,
    feeds: 200,
    feedSubscriptionsPerSocket: 500,
    feedSockets: 2_000,
    feedMessagesPerSecond: 5_000,
    feedBytesPerSecond: 16 * MIB,
    apiKeys: 200,
    llmTokensPerMonth: 25_000_000,
    monitors: 250,
    rules: 1_000,
    emotionSessions: 1_000,
  },
  network: {
    collectorEventsPerSecond: 25_000,
    pageviewsPerMonth: 25_000_000,
    behaviouralScores: true,
    snapshotRead: true,
    snapshotMinIntervalMs: 0,
    feedRead: true,
    feedWrite: true,
    feedConnections: 25,
    feedMaxDurationMs: 6 * HOUR,
    feedReplayMs: 7 * DAY,
    feeds: 1_000,
    feedSubscriptionsPerSocket: 500,
    feedSockets: 10_000,
    feedMessagesPerSecond: 10_000,
    feedBytesPerSecond: 32 * MIB,
    apiKeys: 1_000,
    llmTokensPerMonth: 100_000_000,
    monitors: 1_000,
    rules: 10_000,
    emotionSessions: 10_000,
  },
  custom: {
    collectorEventsPerSecond: 100_000,
    pageviewsPerMonth: 1_000_000_000,
    behaviouralScores: true,
    snapshotRead: true,
    snapshotMinIntervalMs: 0,
    feedRead: true,
    feedWrite: true,
    feedConnections: 100,
    feedMaxDurationMs: DAY,
    feedReplayMs: 30 * DAY,
    feeds: 10_000,
    feedSubscriptionsPerSocket: 500,
    feedSockets: 100_000,
    feedMessagesPerSecond: 20_000,
    feedBytesPerSecond: 64 * MIB,
    apiKeys: 10_000,
    llmTokensPerMonth: 1_000_000_000,
    monitors: 10_000,
    rules: 100_000,
    emotionSessions: 100_000,
  },
};

/** Overrides as they come out of a parsed record: an absent and an undefined member are the same. */
export type LimitOverrides = { [L in keyof PlanLimits]?: PlanLimits[L] | undefined };

/** The plan's limits with the tenant's overrides on top. */
export function limitsOf(plan: Plan, overrides?: LimitOverrides): PlanLimits {
  if (overrides === undefined) return PLAN_LIMITS[plan];
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  return { ...PLAN_LIMITS[plan], ...given };
}

/** Lowest plan that has a boolean capability: `requiredPlan` of a 403. */
export function lowestPlanWith(capability: "behaviouralScores" | "snapshotRead" | "feedRead" | "feedWrite"): Plan {
  return PLANS.find((plan) => PLAN_LIMITS[plan][capability]) ?? "custom";
}

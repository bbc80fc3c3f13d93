/** Settings of the intelligence service, from the environment; each provider brings its own (adapters/providers). Tests: config.test.ts. */
import { type ApiConfig, ApiEnv } from "@headwater/api-http";
import { QUERY_INTERVALS } from "@headwater/protocol";
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";
import { PROVIDER_ROWS } from "./adapters/providers/index.ts";
import type { CandidateProvider, ConfiguredProvider } from "./adapters/providers/row.ts";
import type { ContextLimits } from "./domain/context-store.ts";
import { byName } from "./domain/provider-selection.ts";

const intervals: readonly number[] = QUERY_INTERVALS;
const providerEnv: Record<string, z.ZodType> = Object.assign({}, ...PROVIDER_ROWS.map((row) => row.env));

const OwnEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  DATABASE_POOL_SIZE: envNumber(1, 100).default(4).describe("PostgreSQL connections of this instance"),
  DEFAULT_AI_PROVIDER: z
    .string()
    .refine((name) => byName(PROVIDER_ROWS, name) !== undefined, `none of ${PROVIDER_ROWS.map((row) => row.id).join(", ")}`)
    .default("openai")
    .describe("Provider that answers when a request names none, if it is configured; else the first configured one"),
  LLM_TIMEOUT_MS: envNumber(1_000, 600_000).default(60_000).describe("A call to a provider, retry included, ends after this many ms"),
  LLM_MAX_TOKENS: envNumber(1, 100_000).default(1_024).describe("Most tokens of an answer"),
  LLM_TEMPERATURE: z.coerce.number().min(0).max(2).default(0.7).describe("Sampling temperature"),
  LLM_MAX_CONCURRENCY: envNumber(1, 10_000).default(8).describe("Provider calls at once in one process, all tenants together"),
  LLM_CONTEXT_LIMIT: envNumber(1, 500).default(50).describe("Newest messages per topic a question is about"),
  LLM_QUERY_INTERVAL_SECONDS: z.coerce
    .number()
    .refine((seconds) => intervals.includes(seconds), `one of ${intervals.join(", ")}`)
    .default(10)
    .describe("Seconds between two automatic analyses of a topic, unless its feed says otherwise: 5, 10, 30 or 60"),
  MAX_TOPICS_PER_FEED: envNumber(1, 100_000).default(1_000).describe("Live topics of one feed; the least recently updated one goes"),
  LLM_CONTEXT_FEED_BYTES: envNumber(65_536, 4_294_967_296)
    .default(16_777_216)
    .describe("Memory for the newest messages of one feed, bytes; the topics updated longest ago go"),
  LLM_CONTEXT_BYTES: envNumber(1_048_576, 68_719_476_736)
    .default(268_435_456)
    .describe("Memory for the newest messages of all feeds of this instance, bytes; the feeds updated longest ago go"),
  LLM_TENANT_CONCURRENCY: envNumber(1, 10_000).default(4).describe("Provider calls of one tenant at once"),
  LLM_REQUESTS_PER_MINUTE: envNumber(1, 1_000_000).default(60).describe("Questions of one tenant a minute, over all instances"),
  LLM_REQUEST_BURST: envNumber(1, 1_000_000).default(20).describe("Questions of one tenant that may come at once"),
  TOKEN_OVERDRAFT_HARD_LIMIT: z.coerce
    .number()
    .min(1)
    .max(1_000)
    .optional()
    .describe("Calls are refused at this multiple of the monthly quota although overdraft is allowed; unset = never"),
  AUTO_ANALYSIS: z
    .enum(["subscribed", "always"])
    .default("subscribed")
    .describe("Topics that are analysed automatically: those somebody listens to, or all live ones of active feeds"),
  MAX_AUTO_TOPICS_PER_FEED: envNumber(1, 100_000).default(20).describe("Topics of one feed that are analysed with AUTO_ANALYSIS=always"),
});
export const IntelligenceEnv = z.object({ ...OwnEnv.shape, ...providerEnv, ...ApiEnv.shape });

export interface LlmConfig {
  /** In the order of preference. */
  providers: readonly ConfiguredProvider[];
  /** Not configured, but used while they are there. */
  candidates: readonly CandidateProvider[];
  defaultProvider: string;
  timeoutMs: number;
  maxTokens: number;
  temperature: number;
  maxConcurrency: number;
  queryIntervalMs: number;
}

export interface IntelligenceConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  databasePoolSize: number;
  llm: LlmConfig;
  contexts: ContextLimits;
  limits: {
    tenantConcurrency: number;
    perMinute: number;
    burst: number;
    overdraftHardLimit: number | undefined;
  };
  auto: {
    mode: "subscribed" | "always";
    maxTopicsPerFeed: number;
  };
  api: ApiConfig;
}

export function parseIntelligenceConfig(env: Env): IntelligenceConfig {
  // All of it first, so that every bad setting is named at once.
  parseEnv(IntelligenceEnv, env);
  const own = parseEnv(OwnEnv, env);
  return {
    natsConnectTimeoutMs: own.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: own.NATS_REPLICAS,
    databasePoolSize: own.DATABASE_POOL_SIZE,
    llm: {
      providers: PROVIDER_ROWS.flatMap((row) => row.configure(env) ?? []),
      candidates: PROVIDER_ROWS.flatMap((row) => row.candidate(env) ?? []),
      defaultProvider: own.DEFAULT_AI_PROVIDER,
      timeoutMs: own.LLM_TIMEOUT_MS,
      maxTokens: own.LLM_MAX_TOKENS,
      temperature: own.LLM_TEMPERATURE,
      maxConcurrency: own.LLM_MAX_CONCURRENCY,
      queryIntervalMs: own.LLM_QUERY_INTERVAL_SECONDS * 1_000,
    },
    contexts: {
      entries: own.LLM_CONTEXT_LIMIT,
      topicsPerFeed: own.MAX_TOPICS_PER_FEED,
      bytesPerFeed: own.LLM_CONTEXT_FEED_BYTES,
      bytes: own.LLM_CONTEXT_BYTES,
    },
    limits: {
      tenantConcurrency: own.LLM_TENANT_CONCURRENCY,
      perMinute: own.LLM_REQUESTS_PER_MINUTE,
      burst: own.LLM_REQUEST_BURST,
      overdraftHardLimit: own.TOKEN_OVERDRAFT_HARD_LIMIT,
    },
    auto: { mode: own.AUTO_ANALYSIS, maxTopicsPerFeed: own.MAX_AUTO_TOPICS_PER_FEED },
    api: parseEnv(ApiEnv, env),
  };
}

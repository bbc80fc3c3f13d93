/** Settings of the intelligence service, from the environment; each provider brings its own (adapters/providers). Tests: config.test.ts. */
import { QUERY_INTERVALS } from "@headwater/protocol";
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";
import { PROVIDER_ROWS } from "./adapters/providers/index.ts";
import type { ConfiguredProvider } from "./adapters/providers/row.ts";
import { byName } from "./domain/provider-selection.ts";

const intervals: readonly number[] = QUERY_INTERVALS;
const providerEnv: Record<string, z.ZodType> = Object.assign({}, ...PROVIDER_ROWS.map((row) => row.env));

const OwnEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
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
});
export const IntelligenceEnv = z.object({ ...OwnEnv.shape, ...providerEnv });

export interface LlmConfig {
  /** In the order of preference. */
  providers: readonly ConfiguredProvider[];
  defaultProvider: string;
  timeoutMs: number;
  maxTokens: number;
  temperature: number;
  maxConcurrency: number;
  contextLimit: number;
  queryIntervalMs: number;
}

export interface IntelligenceConfig {
  natsConnectTimeoutMs: number;
  llm: LlmConfig;
}

export function parseIntelligenceConfig(env: Env): IntelligenceConfig {
  // All of it first, so that every bad setting is named at once.
  parseEnv(IntelligenceEnv, env);
  const own = parseEnv(OwnEnv, env);
  return {
    natsConnectTimeoutMs: own.NATS_CONNECT_TIMEOUT_MS,
    llm: {
      providers: PROVIDER_ROWS.flatMap((row) => row.configure(env) ?? []),
      defaultProvider: own.DEFAULT_AI_PROVIDER,
      timeoutMs: own.LLM_TIMEOUT_MS,
      maxTokens: own.LLM_MAX_TOKENS,
      temperature: own.LLM_TEMPERATURE,
      maxConcurrency: own.LLM_MAX_CONCURRENCY,
      contextLimit: own.LLM_CONTEXT_LIMIT,
      queryIntervalMs: own.LLM_QUERY_INTERVAL_SECONDS * 1_000,
    },
  };
}

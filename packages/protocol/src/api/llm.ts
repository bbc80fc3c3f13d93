/**
 * Requests and answers of `/api/llm`: what validates is what is documented. Unknown members of a request are ignored, `null` counts as absent.
 * Tests: services/intelligence/src/http/llm-routes.int.test.ts.
 */
import { z } from "zod";

/** Refusals of the LLM surface beside those of `API_ERRORS`: code → status and exact message; `<…>` stands for what is filled in. */
export const LLM_ERRORS = {
  FEED_ID_REQUIRED: { status: 400, message: "feedId is required" },
  QUESTION_REQUIRED: { status: 400, message: "question is required" },
  QUESTION_TOO_LONG: { status: 400, message: "question is too long" },
  SYSTEM_PROMPT_TOO_LONG: { status: 400, message: "systemPrompt is too long" },
  PROVIDER_NOT_CONFIGURED: { status: 400, message: "provider '<name>' not configured" },
  TOKEN_QUOTA_EXCEEDED: { status: 429, message: "token quota exceeded" },
  TOO_MANY_CONCURRENT_QUERIES: { status: 429, message: "too many concurrent queries" },
  PROVIDER_ERROR: { status: 502, message: "<provider> error: <short reason>" },
  NO_PROVIDERS: { status: 503, message: "No LLM providers configured. Please set API keys in environment variables." },
  PROVIDER_TIMED_OUT: { status: 504, message: "<provider> timed out" },
} as const satisfies Record<string, { status: number; message: string }>;
export type LlmErrorCode = keyof typeof LLM_ERRORS;

const feedId = z.string().nullish().describe("Required. `<feedId>:<topic>` names a topic as well");
const topic = z.string().nullish().describe("Only the messages of this topic");
const provider = z.string().nullish().describe("Id or alias of a configured provider");

export const LlmQueryRequest = z.object({
  feedId,
  question: z.string().nullish().describe("Required, up to 4000 characters"),
  topic,
  provider,
  systemPrompt: z.string().nullish().describe("Up to 8000 characters"),
  broadcast: z
    .boolean()
    .nullish()
    .describe("false: the answer is not pushed to the feed's listeners. It is only when the caller owns the feed"),
});
export type LlmQueryRequest = z.infer<typeof LlmQueryRequest>;

export const LlmAnalyzeRequest = z.object({
  feedId,
  customPrompt: z.string().nullish().describe("Default: a summary with patterns and anomalies"),
  topic,
  provider,
});
export type LlmAnalyzeRequest = z.infer<typeof LlmAnalyzeRequest>;

export const LlmQueryAnswer = z.object({
  answer: z.string(),
  provider: z.string().describe("`none` when the feed has no data yet"),
  feedId: z.string(),
  tokensUsed: z.number().int().optional(),
  durationMs: z.number().int(),
});
export type LlmQueryAnswer = z.infer<typeof LlmQueryAnswer>;

export const LlmProvidersAnswer = z.object({
  enabled: z.boolean(),
  providers: z.array(z.string()).describe("In the order of preference"),
  default: z.string().optional().describe("Who answers when a request names none"),
  models: z.record(z.string(), z.string()).describe("By provider"),
});
export type LlmProvidersAnswer = z.infer<typeof LlmProvidersAnswer>;

export const LlmContextAnswer = z.object({
  feedId: z.string(),
  feedName: z.string().optional(),
  entries: z.array(z.looseObject({ _timestamp: z.unknown() })).describe("Newest first: the messages with the time they came"),
  entryCount: z.number().int(),
  hasContext: z.boolean(),
  updatedAt: z.string().optional(),
});
export const LlmContextClearedAnswer = z.object({ message: z.literal("context cleared"), feedId: z.string() });

/**
 * Calls to the intelligence service and its answers in the log. A call is streamed over core NATS: `llm.call` (queue group) with a reply inbox,
 * numbered chunks to that inbox, at most `LLM_CREDIT` of them ahead of the caller's credit, `llm.control.<callId>` for credit and cancel.
 * Automatic answers go to `analyses.<lane>` as frames; manual ones never do.
 */
import { z } from "zod";

/** Chunks that may be on their way before the caller says that it took some. */
export const LLM_CREDIT = 64;
/** The service says it is alive at least this often while a provider thinks; a caller gives up after three times that. */
export const LLM_ALIVE_MS = 5_000;

export const LlmCaller = z.object({
  tenantId: z.string(),
  userId: z.string(),
});

export const LlmCall = z.object({
  v: z.literal(1),
  /** Random, a subject token: control messages go to `llm.control.<callId>`. */
  callId: z.string().regex(/^[A-Za-z0-9_-]{16,64}$/),
  kind: z.enum(["query", "analyze", "context", "clear-context", "providers", "toggle-auto-analysis"]),
  caller: LlmCaller.optional(),
  feedId: z.string().optional(),
  topic: z.string().optional(),
  question: z.string().optional(),
  systemPrompt: z.string().optional(),
  provider: z.string().optional(),
  enabled: z.boolean().optional(),
  /** Tokens are wanted as they come; else only the end. */
  stream: z.boolean(),
});
export type LlmCall = z.infer<typeof LlmCall>;

export const TokenUsage = z.object({
  /** `YYYY-MM`, UTC. */
  currentMonth: z.string(),
  tokensUsed: z.number(),
  limit: z.number(),
  lastResetDate: z.string(),
  overdraftAllowed: z.boolean(),
});
export type TokenUsage = z.infer<typeof TokenUsage>;

export const LlmAnswer = z.object({
  answer: z.string(),
  provider: z.string(),
  feedId: z.string(),
  tokensUsed: z.number().int().optional(),
  durationMs: z.number().int(),
  /** After this call was billed. */
  tokenUsage: TokenUsage.optional(),
});
export type LlmAnswer = z.infer<typeof LlmAnswer>;

/** Numbered from 0 per call; a caller that misses a number fails the call. `error.message` is the contract's text, `status` for REST. */
export const LlmChunk = z.discriminatedUnion("type", [
  z.object({ n: z.number().int(), type: z.literal("alive") }),
  z.object({ n: z.number().int(), type: z.literal("token"), text: z.string() }),
  z.object({ n: z.number().int(), type: z.literal("done"), result: z.union([LlmAnswer, z.record(z.string(), z.unknown())]) }),
  z.object({
    n: z.number().int(),
    type: z.literal("error"),
    status: z.number().int(),
    message: z.string(),
    retryAfterMs: z.number().optional(),
  }),
]);
export type LlmChunk = z.infer<typeof LlmChunk>;

export const LlmControl = z.discriminatedUnion("type", [
  z.object({ type: z.literal("credit"), upTo: z.number().int() }),
  z.object({ type: z.literal("cancel") }),
]);
export type LlmControl = z.infer<typeof LlmControl>;

/** `svc.auth.usage`: reads the month's counter of an account, and adds to it. `id` makes an addition happen once. */
export const UsageRequest = z.object({
  tenantId: z.string(),
  add: z.object({ id: z.string().max(128), tokens: z.number().int().nonnegative() }).optional(),
});
export type UsageRequest = z.infer<typeof UsageRequest>;
export const UsageAnswer = z.object({ tokenUsage: TokenUsage });
export type UsageAnswer = z.infer<typeof UsageAnswer>;

/** `svc.routing.auto-analysis`: the owner of a plain feed turns its automatic analysis on or off. */
export const AutoAnalysisRequest = z.object({
  /** Of the caller; only the owner's is obeyed. */
  tenantId: z.string(),
  feedId: z.string(),
  enabled: z.boolean(),
});
export type AutoAnalysisRequest = z.infer<typeof AutoAnalysisRequest>;
export const AutoAnalysisAnswer = AutoAnalysisRequest.pick({ feedId: true, enabled: true });
export type AutoAnalysisAnswer = z.infer<typeof AutoAnalysisAnswer>;

/** `ext` line of ANALYSES. */
export const AnalysisExt = z.object({
  k: z.number().int(),
  /** When the answer was complete, ms. */
  ts: z.number().int(),
  /** Row of the run, hash(feed, topic, tick). */
  run: z.string(),
  model: z.string(),
  promptVersion: z.number().int(),
  tokens: z.number().int(),
  /** TOPICS sequences of the oldest and newest message of the window. */
  window: z.tuple([z.number().int(), z.number().int()]),
});
export type AnalysisExt = z.infer<typeof AnalysisExt>;

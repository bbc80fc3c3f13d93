/** Operations of `/api/llm`. Requests are described by the schemas that validate them (src/api/llm.ts). */
import { API_ERRORS } from "../src/index.ts";
import { type ApiOperation, type ApiRefusal, describeApi, inQuery } from "./openapi-api.ts";
import type { Described } from "./openapi-parts.ts";

const asked: ApiRefusal[] = [
  "FEED_ID_REQUIRED",
  "QUESTION_REQUIRED",
  "QUESTION_TOO_LONG",
  "SYSTEM_PROMPT_TOO_LONG",
  "PROVIDER_NOT_CONFIGURED",
  "FEED_NOT_FOUND",
  "TOKEN_QUOTA_EXCEEDED",
  "TOO_MANY_CONCURRENT_QUERIES",
  "PROVIDER_ERROR",
  "NO_PROVIDERS",
  "PROVIDER_TIMED_OUT",
];
/** Where the contract's text is shorter. */
const noProviders = { code: "NO_PROVIDERS", status: 503, message: "No LLM providers configured" };
const askedShort = asked.map((refusal) => (refusal === "NO_PROVIDERS" ? noProviders : refusal));
const ofFeed: ApiRefusal[] = ["FEED_ID_REQUIRED", "FEED_NOT_FOUND"];
const topic = inQuery("topic", "Only this topic");

const OPERATIONS: readonly ApiOperation[] = [
  {
    method: "get", path: "/api/llm/providers", id: "listProviders", summary: "Providers that can be asked", auth: "none",
    answer: "LlmProvidersAnswer",
  },
  {
    method: "post", path: "/api/llm/query", id: "queryFeed", summary: "Ask about the newest messages of a feed", auth: "session",
    body: "LlmQueryRequest", answer: "LlmQueryAnswer", errors: asked,
  },
  {
    method: "post", path: "/api/llm/query/stream", id: "streamQuery",
    summary: "The same, written while it is answered: events `token`, then `done` or `error`. With `Accept: text/plain` bare text",
    auth: "session", body: "LlmQueryRequest", answer: "text/event-stream", errors: askedShort,
  },
  {
    method: "post", path: "/api/llm/analyze", id: "analyzeFeed", summary: "A summary with patterns and anomalies", auth: "session",
    body: "LlmAnalyzeRequest", answer: "LlmQueryAnswer", errors: askedShort.filter((refusal) => refusal !== "QUESTION_REQUIRED"),
  },
  {
    method: "get", path: "/api/llm/context/{feedId}", id: "getContext", summary: "The messages a question would be about", auth: "session",
    parameters: [topic], answer: "LlmContextAnswer", errors: ofFeed,
  },
  {
    method: "delete", path: "/api/llm/context/{feedId}", id: "clearContext", summary: "Forget messages and earlier answers; owner only",
    auth: "session", parameters: [topic], answer: "LlmContextClearedAnswer",
    errors: [...ofFeed, { code: "NOT_AUTHORIZED", ...API_ERRORS.NOT_AUTHORIZED }],
  },
]; // biome-ignore format: one row per operation

export const LLM_OPERATIONS: readonly Described[] = OPERATIONS.map(describeApi);

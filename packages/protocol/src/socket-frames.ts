/**
 * Messages of `/ws`, both directions, as schemas: what a client may send and may rely on. The edge validates with the payload schemas here
 * (services/edge, surfaces/feeds) and its tests hold every frame it sends against `SocketServerMessage`. Unknown members are ignored both ways.
 */
import { z } from "zod";
import { FEED_STATUSES } from "./feed-log.ts";
import { TokenUsage } from "./llm.ts";
import { SocketSessionId } from "./socket-session.ts";

export const SOCKET_CLOSE = {
  shutdown: { code: 1001, reason: "server shutdown" },
  policy: { code: 1008, reason: "policy violation" },
  too_big: { code: 1009, reason: "message too big" },
  slow: { code: 1013, reason: "slow consumer" },
  revoked: { code: 4401, reason: "credentials revoked or expired" },
  too_many_messages: { code: 4429, reason: "too many messages" },
  too_many_connections: { code: 4429, reason: "too many connections" },
} as const satisfies Record<string, { code: number; reason: string }>;
export type SocketClose = keyof typeof SOCKET_CLOSE;

/** Every `error` text of this socket; `llm-error` may also carry a provider's. The text is the contract. */
export const SOCKET_ERRORS = {
  invalid_json: "invalid JSON",
  unknown_event: "unknown event",
  invalid_payload: "invalid payload",
  credential_missing: "token or apiKey required",
  invalid_key: "invalid API key",
  revoked_key: "API key revoked",
  invalid_token: "invalid token",
  invalid_claims: "invalid token claims",
  user_mismatch: "user mismatch",
  forbidden: "insufficient permissions",
  feed_not_found: "feed not found",
  no_topics: "topic routing not enabled",
  too_many_subscriptions: "too many subscriptions",
  too_many_connections: "too many connections",
  question_missing: "question is required",
  llm_off: "LLM service not configured",
  too_many_queries: "too many concurrent queries",
  /** Nobody can tell now: auth or the log is not reachable. */
  unavailable: "service unavailable",
} as const;

export const TOPIC_FEED_NOTE = "topic-routed feed: use subscribe-topic";

const id = z.string().min(1).max(256);
/** Control characters and halves of surrogate pairs never occur in a topic. */
const topicText = z
  .string()
  .regex(/^[^\u0000-\u001f\u007f]{1,256}$/u)
  .refine((text) => text.isWellFormed() && new TextEncoder().encode(text).length <= 256, "at most 256 bytes of UTF-8");
const topic = z.union([topicText, z.number()]).describe("A number stands for its decimal text");
const anyMember = z.unknown().optional();
/** Accepted and ignored: who somebody is follows from the credential alone. */
const userId = z.unknown().optional().describe("Ignored");
const replay = {
  cursor: z.string().max(128).optional().describe("Position of a frame received before: what came after it is sent first"),
  since: z
    .union([z.number(), z.string().max(64)])
    .optional()
    .describe("Time, ms or ISO with an offset: what came since then and is still kept is sent first. A `cursor` goes before it"),
};
const requestId = z.union([z.string(), z.number()]).optional();
const question = z.string().max(4_000);
const prompt = z.string().max(8_000);

const query = z.object({
  feedId: id,
  question: question.optional().describe("Required; its absence has an error text of its own"),
  topic: topic.optional(),
  provider: z.string().max(64).optional(),
  systemPrompt: prompt.optional(),
  requestId,
});

/** Payload per message type. */
export const socketPayloads = {
  authenticate: z.object({
    apiKey: z.string().optional(),
    token: z.string().optional(),
    sessionId: SocketSessionId.optional().describe("Keeps the subscriptions of this socket for the next one of the account that names it"),
  }),
  "register-user": z.object({ userId: id, userAgent: anyMember, timestamp: anyMember }),
  "subscribe-feed": z.object({ userId, feedId: id, ...replay }),
  "subscribe-topic": z.object({
    userId,
    feedId: id,
    topic,
    include: z.array(z.string()).max(16).optional().describe("`data`: the topic's messages as topic-data"),
    ...replay,
  }),
  "subscribe-llm": z.object({ userId, feedId: id }),
  "subscribe-all": z.object({ userId, feedId: id, ...replay }),
  "unsubscribe-feed": z.object({ userId, feedId: id }),
  "unsubscribe-topic": z.object({ userId, feedId: id, topic }),
  "llm-query": query,
  "llm-query-stream": query,
  "toggle-auto-analysis": z.object({ userId, feedId: id, enabled: z.boolean() }),
  "analyze-crypto": z.object({ feedId: id.optional(), customPrompt: question.optional() }),
  "analyze-universal-feed": z.object({ feedId: id, customPrompt: question.optional(), analysisId: requestId }),
  resume: z.object({ cursor: z.string().max(128).optional() }).optional(),
  ping: anyMember,
} as const;
export type SocketMessageType = keyof typeof socketPayloads;

const clientMessage = <T extends SocketMessageType>(type: T) => z.object({ type: z.literal(type), payload: socketPayloads[type] });
/** What a client may send; anything else is answered with an `error` frame. */
export const SocketClientMessage = z.discriminatedUnion("type", [
  clientMessage("authenticate"),
  clientMessage("register-user"),
  clientMessage("subscribe-feed"),
  clientMessage("subscribe-topic"),
  clientMessage("subscribe-llm"),
  clientMessage("subscribe-all"),
  clientMessage("unsubscribe-feed"),
  clientMessage("unsubscribe-topic"),
  clientMessage("llm-query"),
  clientMessage("llm-query-stream"),
  clientMessage("toggle-auto-analysis"),
  clientMessage("analyze-crypto"),
  clientMessage("analyze-universal-feed"),
  clientMessage("resume"),
  z.object({ type: z.literal("ping") }),
]);
export type SocketClientMessage = z.infer<typeof SocketClientMessage>;

const echoed = { feedId: z.unknown().optional(), topic: z.unknown().optional(), requestId: z.unknown().optional() };
const failure = z.object({ error: z.string(), ...echoed, analysisId: z.unknown().optional() });
const serverMessage = <T extends string, P extends z.ZodType>(type: T, payload: P) => z.object({ type: z.literal(type), payload });
const pushed = <T extends string, P extends z.ZodType>(type: T, payload: P) =>
  z.object({ type: z.literal(type), payload, cursor: z.string().optional().describe("Only after `resume`") });
const answer = z.object({
  answer: z.string(),
  provider: z.string(),
  feedId: z.string(),
  durationMs: z.number(),
  requestId: z.unknown().optional(),
});

/** Everything the server may send. */
export const SocketServerMessage = z.discriminatedUnion("type", [
  serverMessage(
    "authenticated",
    z.object({
      userId: z.string(),
      authType: z.enum(["apikey", "jwt"]),
      sessionId: z.string().optional().describe("As sent"),
      restored: z.number().int().optional().describe("Subscriptions given back, each told by the `subscription-success` that follows"),
    }),
  ),
  serverMessage("auth_error", failure),
  serverMessage("registration-success", z.object({ userId: z.string(), message: z.literal("connected") })),
  serverMessage("registration-error", failure),
  serverMessage(
    "subscription-success",
    z.object({
      feedId: z.string(),
      topic: z.string().optional(),
      type: z.enum(["feed-data", "topic", "llm-only", "all"]),
      note: z.literal(TOPIC_FEED_NOTE).optional(),
    }),
  ),
  serverMessage("subscription-error", failure),
  serverMessage("unsubscription-success", z.object({ feedId: z.string(), topic: z.string().optional() })),
  serverMessage("unsubscription-error", failure),
  pushed(
    "feed-data",
    z.object({ feedId: z.string(), feedName: z.string(), eventName: z.string(), data: z.unknown(), timestamp: z.iso.datetime() }),
  ),
  pushed("topic-data", z.object({ feedId: z.string(), topic: z.string(), data: z.unknown(), timestamp: z.iso.datetime() })),
  serverMessage(
    "feed-status",
    z.object({ feedId: z.string(), status: z.enum(FEED_STATUSES), error: z.string().optional(), attempt: z.number().optional() }),
  ),
  serverMessage("feed-deleted", z.object({ feedId: z.string() })),
  serverMessage(
    "gap",
    z.object({
      feedId: z.string(),
      topic: z.string().optional(),
      reason: z.enum(["retention", "slow_consumer"]),
      dropped: z.number().int().optional().describe("Frames left out because the client read too slowly"),
    }),
  ),
  serverMessage("resumed", z.object({})),
  serverMessage(
    "llm-intelligence",
    z.object({ feedId: z.string(), topic: z.string(), analysis: z.string(), provider: z.string(), timestamp: z.iso.datetime() }),
  ),
  serverMessage("llm-broadcast", z.object({ feedId: z.string(), answer: z.string(), provider: z.string(), timestamp: z.iso.datetime() })),
  serverMessage("llm-response", answer),
  serverMessage("llm-token", z.object({ token: z.string(), requestId: z.unknown().optional() })),
  serverMessage("llm-complete", answer),
  serverMessage("llm-error", failure),
  serverMessage("token-usage-update", TokenUsage),
  serverMessage("auto-analysis-toggled", z.object({ feedId: z.string(), enabled: z.boolean() })),
  serverMessage("ai-stream", z.object({ token: z.string() })),
  serverMessage("ai-complete", z.object({ response: z.string(), duration: z.number() })),
  serverMessage("ai-error", failure),
  serverMessage("universal-ai-complete", z.object({ response: z.string(), duration: z.number(), analysisId: z.unknown().optional() })),
  serverMessage("universal-ai-error", failure),
  z.object({ type: z.literal("pong") }),
  serverMessage("error", z.union([z.object({ message: z.string() }), failure])),
]);
export type SocketServerMessage = z.infer<typeof SocketServerMessage>;

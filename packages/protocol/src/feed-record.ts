/**
 * A feed as everyone but its owner service knows it: record `registry.feed.<id>`. Upstream credentials are inside `sealed` only.
 * Written by routing. Read by ingest (what to connect to), routing (how to route), edge (who may see it), intelligence (what to ask).
 */
import { z } from "zod";

/** `http` is accepted from clients as another name of `http-polling` and never stored. */
export const CONNECTION_TYPES = ["websocket", "socketio", "http-polling", "protobuf"] as const;
export type ConnectionType = (typeof CONNECTION_TYPES)[number];

export const DATA_FORMATS = ["json", "text", "ndjson", "protobuf", "csv"] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

export const QUERY_INTERVALS = [5, 10, 30, 60] as const;

export const TopicPrompt = z.object({
  systemPrompt: z.string().max(8_000).optional(),
  question: z.string().max(4_000).optional(),
  userPrompt: z.string().max(8_000).optional(),
});
export type TopicPrompt = z.infer<typeof TopicPrompt>;

/** AES-256-GCM under ENCRYPTION_KEY; `kid` names the key, so that a rotated one is told apart from a damaged box. All base64url. */
export const SealedBox = z.object({ kid: z.string(), iv: z.string(), ct: z.string() });
export type SealedBox = z.infer<typeof SealedBox>;

const pair = z.object({ key: z.string(), value: z.string() });

export const HttpPolling = z.object({
  method: z.string(),
  pollingInterval: z.number(),
  timeout: z.number(),
  requestHeaders: z.record(z.string(), z.string()),
  requestBody: z.string().optional(),
  responseFormat: z.string().optional(),
  /** Topic field syntax with any negative index. */
  dataPath: z.string().optional(),
  emitDuplicates: z.boolean(),
});
export type HttpPolling = z.infer<typeof HttpPolling>;

/** What `sealed` holds: JSON of this. Only the owner sees it on the wire, only ingest uses it. */
export const FeedSecrets = z.object({
  queryParams: z.array(pair),
  headers: z.array(pair),
  httpConfig: HttpPolling.optional(),
  /** Legacy single message, sent before `connectionMessages`. */
  connectionMessage: z.string().optional(),
});
export type FeedSecrets = z.infer<typeof FeedSecrets>;

export const FeedRecord = z.object({
  id: z.string(),
  tenantId: z.string(),
  userId: z.string(),
  name: z.string(),
  eventName: z.string(),
  isPublic: z.boolean(),
  isActive: z.boolean(),
  /** At least one active REST subscription: keep the upstream connected though nobody listens. */
  hasSubscriptions: z.boolean(),

  connectionType: z.enum(CONNECTION_TYPES),
  url: z.string(),
  /** Sent verbatim in order after connecting. */
  connectionMessages: z.array(z.string()),
  connectionMessageDelayMs: z.number().int(),
  reconnectionEnabled: z.boolean(),
  /** First delay, ms. */
  reconnectionDelay: z.number().int(),
  /** 0 = for ever. */
  reconnectionAttempts: z.number().int(),
  dataFormat: z.enum(DATA_FORMATS),
  protobufType: z.string().optional(),
  /** Text of a .proto file. */
  protobufSchema: z.string().optional(),
  /** WebSocket ping interval and read deadline, ms. */
  pingIntervalMs: z.number().int(),
  readTimeoutMs: z.number().int(),
  sealed: SealedBox.optional(),

  enableTopicRouting: z.boolean(),
  topicField: z.string().optional(),

  topicPrompts: z.record(z.string(), TopicPrompt).optional(),
  /** Seconds. */
  queryInterval: z.literal(QUERY_INTERVALS).optional(),
  defaultAIPrompt: z.string().optional(),
  systemPrompt: z.string().optional(),
  provider: z.string().optional(),
  /** Plain feeds: analyse as messages come (`toggle-auto-analysis`). */
  autoAnalysis: z.boolean(),
  bufferTtlMinutes: z.number().int(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type FeedRecord = z.infer<typeof FeedRecord>;

/**
 * Control frames of the Signals Feed, both directions, as schemas: what a subscriber may rely on. The default `event` frame is LabeledEvent.
 * The edge writes these as text (services/edge, surfaces/signals/frames.ts); its unit test holds every frame against them.
 * A reader must ignore frame types and members it does not know.
 */
import { z } from "zod";
import { ERRORS, type ErrorCode } from "./errors.ts";
import {
  BEHAVIORAL_CLASSES,
  BOT_CATEGORIES,
  DEVICE_TYPES,
  FINE_EMOTIONS,
  FINE_STAGES,
  LABEL_LANES,
  NUMERIC_SCORES,
} from "./labeled-event.ts";
import { PLANS } from "./plans.ts";
import { VISIT_TYPES } from "./visit-event.ts";

const cursor = z.string().max(64).describe("Opaque position after the last frame sent; sealed, bound to the tenant");
const ms = z.number().int().nonnegative();
const codes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];
const bounds = z.partialRecord(z.enum(NUMERIC_SCORES), z.number());
const list = z.array(z.string());

/** AND between members, OR within a list. Docs: docs/signals.md, "Filters". */
export const FeedFilterWire = z.object({
  eventTypes: z.array(z.enum(VISIT_TYPES)).optional(),
  classes: z.array(z.enum(BEHAVIORAL_CLASSES)).optional(),
  isBot: z.boolean().optional(),
  botCategories: z.array(z.enum(BOT_CATEGORIES)).optional(),
  pages: list.optional().describe("Globs on the path"),
  sites: list.optional(),
  devices: z.array(z.enum(DEVICE_TYPES)).optional(),
  min: bounds.optional(),
  max: bounds.optional(),
  decisionStages: list.optional(),
  emotionalStates: list.optional(),
  identified: z.boolean().optional(),
  crossing: list.optional().describe("`intent:70`: only the event on which the score crosses upward"),
  sample: z.number().gt(0).max(1).optional().describe("Share of visitors, stable per visitor"),
  names: list.optional().describe("Names of custom events"),
});
export type FeedFilterWire = z.infer<typeof FeedFilterWire>;

export const FeedHello = z.object({
  type: z.literal("hello"),
  message: z.string(),
  ts: ms,
  connectionId: z.string(),
  protocol: z.literal("clickstream-v1"),
  tenantId: z.string().describe("Slug of the tenant"),
  plan: z.enum(PLANS),
  capabilities: z.array(z.enum(["read", "filter", "resume"])),
  mode: z.literal("live"),
  heartbeatIntervalMs: ms,
  idleTimeoutMs: ms,
  maxDurationMs: ms,
  maxBufferedBytes: ms,
  scoringVersion: z.string(),
  cursor,
  filter: FeedFilterWire.nullable(),
  resumed: z.literal(true).optional().describe("Present when the connection starts from a cursor or `since`"),
});
export const FeedPing = z.object({ type: z.literal("ping"), timestamp: ms });
export const FeedPong = z.object({ type: z.literal("pong"), timestamp: z.unknown().optional().describe("Echo of the client's value") });
export const FeedDurationLimit = z.object({
  type: z.literal("duration_limit"),
  message: z.string(),
  maxDurationMs: ms,
  closesInMs: ms,
  cursor,
});
export const FeedGap = z.object({ type: z.literal("gap"), reason: z.enum(["retention"]), fromCursor: cursor.optional(), toCursor: cursor });
export const FeedLive = z.object({ type: z.literal("live"), cursor });
export const FeedSubscribed = z.object({
  type: z.literal("subscribed"),
  id: z.string().optional(),
  filter: FeedFilterWire.nullable(),
  mode: z.literal("live"),
});
export const FeedError = z.object({ type: z.literal("error"), id: z.string().optional(), error: z.enum(codes), message: z.string() });
export const FeedClosing = z.object({ type: z.literal("closing"), reason: z.literal("draining"), closesInMs: ms, cursor });

/** Every control frame the server may send. */
export const FeedControlFrame = z.discriminatedUnion("type", [
  FeedHello,
  FeedPing,
  FeedPong,
  FeedDurationLimit,
  FeedGap,
  FeedLive,
  FeedSubscribed,
  FeedError,
  FeedClosing,
]);
export type FeedControlFrame = z.infer<typeof FeedControlFrame>;

/** Members that `include=` adds to an `event` frame, in this order. */
export const FeedEventExtras = z.object({
  cursor: cursor.optional(),
  seq: ms.optional().describe("Count of deliveries of this stream lineage"),
  eventId: z.string().optional(),
  siteId: z.string().optional(),
  eventTime: z.number().optional(),
  scoredAt: z.number().optional(),
  name: z.string().optional(),
  category: z.string().optional(),
  action: z.string().optional(),
  label: z.string().optional(),
  value: z.number().optional(),
  element: z.object({ selector: z.string() }).optional(),
  labels: z
    .object({
      emotion: z.enum(FINE_EMOTIONS).optional(),
      stage: z.enum(FINE_STAGES).optional(),
      lane: z.enum(LABEL_LANES).nullable(),
      humanConfidence: z.number(),
    })
    .optional(),
  explain: z.partialRecord(z.enum(NUMERIC_SCORES), z.array(z.tuple([z.string(), z.number()])).max(3)).optional(),
  locale: z.object({ country: z.string().optional(), language: z.string().optional() }).optional(),
  origin: z.enum(["sdk", "server", "edge", "external"]).optional(),
});
export type FeedEventExtras = z.infer<typeof FeedEventExtras>;

/** What a client may send; anything else is answered with an `error` frame. */
export const FeedClientMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ping"), timestamp: z.unknown().optional() }),
  z.object({ type: z.literal("pong"), timestamp: z.unknown().optional() }),
  z.object({ type: z.literal("subscribe"), id: z.string().max(128).optional(), filter: FeedFilterWire.nullable().optional() }),
]);
export type FeedClientMessage = z.infer<typeof FeedClientMessage>;

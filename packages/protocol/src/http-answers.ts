/** Bodies of HTTP answers, as schemas: the error envelope, the collector's answers, health. Snapshots: visitor-context.ts. */
import { z } from "zod";
import { DROP_REASONS, ERRORS, EVENT_ERROR_CODES, type ErrorCode } from "./errors.ts";
import { PRIVACY_PRESETS } from "./site-settings.ts";

const count = z.number().int().nonnegative();
const codes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** Every answer that is not 2xx. Some codes carry further members, e.g. `currentPlan`, `retryAfter`, `limit`. */
export const ErrorAnswer = z.looseObject({ error: z.enum(codes), message: z.string() });
export type ErrorAnswer = z.infer<typeof ErrorAnswer>;

export const EventError = z.object({
  index: count.describe("Place in the posted batch"),
  code: z.enum(EVENT_ERROR_CODES),
  message: z.string(),
});

/** `202` of `POST /v1/events`: everything counted as accepted is durable. */
export const BatchAnswer = z.object({
  accepted: count,
  dropped: count,
  rejected: count,
  duplicates: count,
  dropReasons: z.partialRecord(z.enum(DROP_REASONS), count),
  errors: z.array(EventError),
});
export type BatchAnswer = z.infer<typeof BatchAnswer>;

export const ConsentReceiptAnswer = z.object({ receiptId: z.string(), recordedAt: z.number().int() });

export const ConsentConfigAnswer = z.object({
  siteId: z.string(),
  preset: z.enum(PRIVACY_PRESETS),
  mode: z.enum(["opt-in", "opt-out"]),
  scrub: z.enum(["standard", "aggressive"]),
  honoursGpc: z.boolean(),
  honoursDnt: z.boolean(),
  defaults: z.object({ analytics: z.boolean(), identity: z.boolean(), marketing: z.boolean() }),
  consentCookie: z.object({ name: z.string(), maxAgeSeconds: count }),
  excludedPathPrefixes: z.array(z.string()),
});

export const OptOutAnswer = z.object({ visitorId: z.string(), optedOut: z.boolean() });

const health = z.object({
  status: z.enum(["up", "degraded", "down"]),
  checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string().optional() })),
});
const connection = z.enum(["connected", "disconnected"]);
/** `GET /health`: 200, or 503 when a service has no instance that works. A listener of one service tells what that service knows. */
export const HealthAnswer = z.object({
  status: z.enum(["ok", "degraded"]),
  timestamp: z.iso.datetime(),
  services: z.object({
    store: connection.optional(),
    nats: connection.optional(),
    llm: z.enum(["available", "not-configured", "unavailable"]).optional(),
    authentication: z.enum(["available", "unavailable"]).optional(),
  }),
  instances: z.record(z.string(), health).describe("By instance id"),
});
export type HealthAnswer = z.infer<typeof HealthAnswer>;

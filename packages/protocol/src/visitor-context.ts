/**
 * Answer of `GET /v1/signals/:visitorId`: the last labels of one visitor. Wire contract: docs/signals.md.
 * Built by services/scoring/src/domain/context.ts, tests beside it.
 */
import { z } from "zod";
import { BEHAVIORAL_CLASSES, BotVerdict, DeviceLabel, Scores } from "./labeled-event.ts";

export const IDENTITY_STATUSES = ["anonymous", "customer_identified", "signal_identified", "merged"] as const;

export const VisitorLocale = z.object({
  language: z.string().nullable(),
  languages: z.array(z.string()),
  primaryLanguage: z.string().nullable(),
  translatedTo: z.string().nullable(),
  timezone: z.string().nullable(),
  country: z.string().nullable(),
  languageGeoMismatch: z.boolean().nullable(),
  timezoneGeoMismatch: z.boolean().nullable(),
  hourCycle: z.string().nullable(),
});

export const VisitorContext = z.object({
  bot: BotVerdict,
  behavioralClass: z.enum(BEHAVIORAL_CLASSES),
  identity: z.object({
    status: z.enum(IDENTITY_STATUSES),
    visitorId: z.string(),
    /** Stable profile id, `cs_…`. */
    clickstreamId: z.string(),
    mergedClickstreamIds: z.array(z.string()),
    isReturning: z.boolean(),
    hasIdentifiedThisSession: z.boolean(),
  }),
  scores: Scores,
  session: z.object({ sessionId: z.string(), durationMs: z.number(), pagesInSession: z.number().int() }),
  device: DeviceLabel,
  locale: VisitorLocale.optional(),
  /** ISO-8601, receive time of the event that produced it. */
  snapshotAt: z.string(),
  /** Changes with every scored event. */
  snapshotVersion: z.string(),
  /** `_eid` of the event that produced it, when it had one. */
  sourceEventId: z.string().optional(),
});
export type VisitorContext = z.infer<typeof VisitorContext>;

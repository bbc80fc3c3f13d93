/**
 * Requests of the collector as a client sends them: `POST /v1/events`, consent receipts, opt-outs. Unknown members are ignored.
 * `ingest` compiles these to JSON Schema validators; what it accepts becomes a VisitEvent (visit-event.ts).
 * Text has no upper length here, because over-long text is cut, not refused; ids are refused. Wire contract: docs/signals.md.
 */
import { z } from "zod";
import { VISIT_TYPES } from "./visit-event.ts";

export const MAX_EVENTS_PER_BATCH = 100;
export const MAX_EVENT_BYTES = 32 * 1024;
export const MAX_BODY_BYTES = 512 * 1024;
export const MAX_INFLATED_BYTES = 2 * 1024 * 1024;

/** What a client may post; the first six are the visitor events of the feed. */
export const COLLECTOR_TYPES = [...VISIT_TYPES, "_consent_transition"] as const;
export type CollectorType = (typeof COLLECTOR_TYPES)[number];

const text = z.string().nullish();
const number = z.number().nullish();
const flag = z.boolean().nullish();
const flags = z.record(z.string(), z.boolean().nullable());

export const CollectorConsent = z.object({
  analytics: flag,
  identityResolution: flag,
  marketing: flag,
  thirdPartySharing: flag,
  gpc: flag,
  timestamp: number,
});
export type CollectorConsent = z.infer<typeof CollectorConsent>;

const device = z.object({
  userAgent: z.string(),
  viewport: z.object({ width: z.number(), height: z.number() }).nullish(),
  clientPlatform: z.enum(["ios", "android", "react-native", "edge"]).nullish(),
  automation: z.object({ score: number, signals: z.array(z.string()).nullish(), webdriver: flag }).nullish(),
  maxTouchPoints: number,
  pointerCoarse: flag,
  hoverNone: flag,
  platform: text,
  language: text,
  timezone: text,
});

/** Control characters are refused, not removed: two visitors could become one. */
const clientId = z.string().regex(/^[^\u0000-\u001f\u007f]*$/);

const envelope = {
  visitorId: clientId.min(1).max(128),
  sessionId: clientId.max(128).nullish(),
  timestamp: z.number(),
  consent: CollectorConsent.nullish(),
  _eid: clientId.min(1).max(64).nullish(),
  _tid: z.string().max(64).nullish(),
};

const web = {
  ...envelope,
  page: z.object({ path: z.string(), url: text, title: text, referrer: text }),
  device,
  identity: z.record(z.string(), z.unknown()).nullish(),
};

const element = z.object({
  selector: text,
  text: text,
  tagName: text,
  inputType: text,
  x: number,
  y: number,
  pageX: number,
  pageY: number,
});

export const CollectorEvents = {
  pageview: z.object({
    type: z.literal("pageview"),
    ...web,
    performance: z.object({ loadTime: number, domContentLoaded: number, firstContentfulPaint: number }).nullish(),
  }),
  click: z.object({ type: z.literal("click"), ...web, element: element.nullish(), tagName: text, pageX: number, pageY: number }),
  scroll: z.object({ type: z.literal("scroll"), ...web, depth: z.number().min(0).max(100), timeOnPage: number }),
  form: z.object({
    type: z.literal("form"),
    ...web,
    action: z.enum(["focus", "blur", "change", "submit", "abandon"]),
    formId: text,
    fieldCount: number,
    filledCount: number,
    errorCount: number,
  }),
  custom: z.object({
    type: z.literal("custom"),
    ...web,
    name: z.string().min(1),
    category: text,
    action: text,
    label: text,
    value: number,
    properties: z.record(z.string(), z.unknown()).nullish(),
  }),
  identify: z.object({ type: z.literal("identify"), ...web }),
  _consent_transition: z.object({
    type: z.literal("_consent_transition"),
    ...envelope,
    previousConsent: flags.nullish(),
    newConsent: flags,
    method: text,
    gpc: flag,
  }),
} as const satisfies Record<CollectorType, z.ZodType>;

export type CollectorEvent<T extends CollectorType = CollectorType> = T extends CollectorType
  ? z.infer<(typeof CollectorEvents)[T]>
  : never;

/** How a consent decision came about; other values are kept as sent, cut to 64 characters. */
export const CONSENT_METHODS = [
  "clickstream_banner",
  "cmp_onetrust",
  "cmp_cookiebot",
  "cmp_osano",
  "cmp_custom",
  "manual",
  "default_accept",
] as const;

/** Body of `POST /v1/consent/receipt`: one record per durable decision. */
export const ConsentReceipt = z.object({
  /** Absent: the visitor cookie of the request decides. */
  visitorId: clientId.min(1).max(128).optional(),
  consentState: z.object({
    necessary: z.boolean().optional(),
    analytics: z.boolean(),
    marketing: z.boolean(),
    thirdParty: z.boolean(),
    identity: z.boolean().optional(),
  }),
  consentVersion: z.string().max(64).optional(),
  consentMethod: z.string().max(64).optional(),
  timestamp: z.number().optional(),
  gpc: z.boolean().optional(),
});
export type ConsentReceipt = z.infer<typeof ConsentReceipt>;

/** Body of `POST /v1/optout`. */
export const OptOutRequest = z.object({ visitorId: z.string().min(1).max(128) });

/**
 * The accepted visitor event as `ingest` writes it to `VISITS_<lane>` and `scoring` folds it.
 * It is validated, scrubbed, consent-filtered and time-corrected: nothing in it needs a clock, a lookup or a secret.
 * One NATS message holds one or more events, one JSON object per line (NDJSON), no header line.
 * Vectors: vectors/visit-events.json. Wire contract of the collector: docs/signals.md.
 */
import { z } from "zod";

export const VISIT_TYPES = ["pageview", "click", "scroll", "form", "custom", "identify"] as const;
export type VisitType = (typeof VISIT_TYPES)[number];

export const KEY_TYPES = ["browser", "mobile", "server"] as const;
export type KeyType = (typeof KEY_TYPES)[number];

const int = z.number().int();

/** What the fold may know about the visitor's device; every hint is optional and as the client reported it. */
export const VisitDevice = z.object({
  userAgent: z.string(),
  viewport: z.object({ width: z.number(), height: z.number() }).optional(),
  clientPlatform: z.enum(["ios", "android", "react-native", "edge"]).optional(),
  automation: z
    .object({ score: z.number().optional(), signals: z.array(z.string()).optional(), webdriver: z.boolean().optional() })
    .optional(),
  maxTouchPoints: z.number().optional(),
  pointerCoarse: z.boolean().optional(),
  hoverNone: z.boolean().optional(),
  platform: z.string().optional(),
  language: z.string().optional(),
  timezone: z.string().optional(),
});
export type VisitDevice = z.infer<typeof VisitDevice>;

/** Facts a trusted edge proxy told us about the request (`X-Edge-*`), absent without one. */
export const EdgeFacts = z.object({
  /** 1–99, low = bot. */
  botScore: z.number().optional(),
  verifiedBot: z.boolean().optional(),
  asn: z.number().optional(),
  asnOrg: z.string().optional(),
  /** True when the ASN belongs to a hosting network. */
  hosting: z.boolean().optional(),
  country: z.string().optional(),
  ja4: z.string().optional(),
});
export type EdgeFacts = z.infer<typeof EdgeFacts>;

export const VisitElement = z.object({
  selector: z.string().optional(),
  text: z.string().optional(),
  tagName: z.string().optional(),
  /** `type` attribute of an input element. */
  inputType: z.string().optional(),
  x: z.number().optional(),
  y: z.number().optional(),
});

/** Hashed identifiers left after consent filtering; raw e-mail and phone never get this far. */
export const VisitIdentity = z.record(z.string(), z.string());

export const VisitEvent = z.object({
  /** Envelope version. */
  v: z.literal(1),
  /** Discriminates plain visitor events from privacy commands in the same lane. */
  kind: z.literal("visit"),
  tenantId: z.string(),
  siteId: z.string(),
  keyType: z.enum(KEY_TYPES),
  /** How it was produced: page SDK, backend, CDN edge capture (never scored). */
  origin: z.enum(["sdk", "server", "edge"]),
  /** Server-assigned event id (`evt_…`), unique per accepted event. */
  id: z.string(),
  /** Client event id; the 24 h duplicate key together with tenant and visitor. */
  eid: z.string().optional(),
  type: z.enum(VISIT_TYPES),
  visitorId: z.string(),
  /** `""` for edge capture; `sess_srv_…` when a server key sent none (then `scored` is false). */
  sessionId: z.string(),
  /** False: the event is labeled but never scored (`scores:null`): edge capture, server key without a session. */
  scored: z.boolean(),
  /** Server receive time, ms: `ts` on the feed. All events of a request share it. */
  ts: int,
  /** Corrected event time, ms. Scoring uses only this. */
  et: z.number(),
  /** Scrubbed path: `page` on the feed. */
  path: z.string(),
  /** Scrubbed URL with allow-listed query keys only. */
  url: z.string().optional(),
  title: z.string().optional(),
  /** Scrubbed referrer without query. Absent = none. */
  referrer: z.string().optional(),
  device: VisitDevice,
  edge: EdgeFacts.optional(),
  identity: VisitIdentity.optional(),
  performance: z
    .object({ loadTime: z.number().optional(), domContentLoaded: z.number().optional(), firstContentfulPaint: z.number().optional() })
    .optional(),
  element: VisitElement.optional(),
  /** Scroll depth 0–100. */
  depth: z.number().optional(),
  timeOnPageMs: z.number().optional(),
  /** Form events. */
  form: z
    .object({
      action: z.enum(["focus", "blur", "change", "submit", "abandon"]),
      formId: z.string().optional(),
      fieldCount: z.number().optional(),
      filledCount: z.number().optional(),
      errorCount: z.number().optional(),
    })
    .optional(),
  /** Custom events: name after the site's alias map. */
  name: z.string().optional(),
  category: z.string().optional(),
  action: z.string().optional(),
  label: z.string().optional(),
  value: z.number().optional(),
  properties: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
});
export type VisitEvent = z.infer<typeof VisitEvent>;

/** An opt-out or opt-in as an input of the visitor's own lane: the fold deletes the state and emits an erasure. */
export const VisitPrivacyCommand = z.object({
  v: z.literal(1),
  kind: z.enum(["optout", "optin"]),
  tenantId: z.string(),
  visitorId: z.string(),
  id: z.string(),
  ts: int,
});
export type VisitPrivacyCommand = z.infer<typeof VisitPrivacyCommand>;

/** One line of `visits.<lane>`. */
export const VisitInput = z.discriminatedUnion("kind", [VisitEvent, VisitPrivacyCommand]);
export type VisitInput = VisitEvent | VisitPrivacyCommand;

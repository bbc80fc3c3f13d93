/**
 * What `scoring` says about a visitor event: the wire line of the Signals Feed and the `ext` line beside it.
 * Vectors: vectors/labeled-events.json. Wire contract: docs/signals.md.
 */
import { z } from "zod";
import { VISIT_TYPES, type VisitType } from "./visit-event.ts";

/** Version of the scoring model whose labels are on the feed; `hello` names it, and scoring's configuration carries the same one. */
export const SCORING_MODEL_VERSION = "2026-1";

export const BEHAVIORAL_CLASSES = ["human", "suspicious", "likely_bot", "bot"] as const;
export type BehavioralClass = (typeof BEHAVIORAL_CLASSES)[number];

export const BOT_CATEGORIES = [
  "search_crawler", "ai_agent", "social_preview", "seo_tool", "monitoring", "scraper", "scanner", "automation", "unknown_bot", "stealth_bot", "kiosk",
] as const; // biome-ignore format: one line per list
export type BotCategory = (typeof BOT_CATEGORIES)[number];

export const DEVICE_TYPES = ["desktop", "mobile", "tablet"] as const;
export const EMOTIONAL_STATES = ["positive", "neutral", "negative"] as const;
export const DECISION_STAGES = ["awareness", "consideration", "decision", "purchase"] as const;
export const FINE_EMOTIONS = ["frustrated", "confused", "decisive", "hesitant", "excited", "engaged", "curious", "neutral"] as const;
export const FINE_STAGES = ["browsing", "evaluating", "comparing", "deciding", "purchasing"] as const;

/** Numeric scores in wire order; `LabelExt.sc` and `.pv` use these indexes. */
export const NUMERIC_SCORES = [
  "intent",
  "frustration",
  "engagement",
  "value",
  "churn",
  "abandonment",
  "conversionReadiness",
  "sessionMomentum",
  "confusion",
] as const;
export type NumericScore = (typeof NUMERIC_SCORES)[number];

const score = z.number().int().min(0).max(100);
export const Scores = z.object({
  intent: score,
  frustration: score,
  engagement: score,
  value: score,
  churn: score,
  abandonment: score,
  conversionReadiness: score,
  sessionMomentum: z.number().min(-1).max(1),
  confusion: score,
  emotionalState: z.enum(EMOTIONAL_STATES),
  decisionStage: z.enum(DECISION_STAGES),
});
export type Scores = z.infer<typeof Scores>;

export const BotVerdict = z.object({
  isBot: z.boolean(),
  score,
  category: z.enum(BOT_CATEGORIES).optional(),
  name: z.string().optional(),
});
export type BotVerdict = z.infer<typeof BotVerdict>;

export const DeviceLabel = z.object({ type: z.enum(DEVICE_TYPES), browser: z.string(), os: z.string(), isMobile: z.boolean() });
export type DeviceLabel = z.infer<typeof DeviceLabel>;

/** The default `event` frame: exactly these keys, in this order. */
export const LabeledEvent = z.object({
  type: z.literal("event"),
  ts: z.number().int(),
  visitorId: z.string(),
  sessionId: z.string(),
  eventType: z.enum(VISIT_TYPES),
  page: z.string(),
  bot: BotVerdict,
  behavioralClass: z.enum(BEHAVIORAL_CLASSES),
  device: DeviceLabel,
  scores: Scores.nullable(),
  hasIdentified: z.boolean(),
});
export type LabeledEvent = z.infer<typeof LabeledEvent>;

export const LABEL_LANES = [
  "ai_search_coverage",
  "preview_accessibility",
  "monitoring_site_health",
  "review_security",
  "automation_qa",
] as const;

/**
 * The `ext` line of a labeled event: everything a default frame does not show. Short keys, because it is written once per event.
 * `scoring` writes it, `edge` reads it only when a socket's filter or `include=` needs it.
 */
export interface LabelExt {
  /** Index of the owning tenant in the frame header's `keys`. */
  k: number;
  /** Visitor id (sampling, crossing). */
  v: string;
  /** Event type. */
  e: VisitType;
  /** Behavioural class. */
  c: BehavioralClass;
  /** 1 = bot. */
  b: 0 | 1;
  /** Bot category, when matched. */
  bc?: BotCategory;
  /** Page path, as on the wire. */
  p: string;
  /** Site id. */
  s: string;
  /** Device type. */
  d: (typeof DEVICE_TYPES)[number];
  /** 1 = identified in this session. */
  i: 0 | 1;
  /** Receive time `ts`, ms (for `since`). */
  ts: number;
  /** Event id for `include=ids`: the client's `_eid`, else the server id. */
  id: string;
  /** Corrected event time, ms. */
  et: number;
  /** Origin. */
  o: "sdk" | "server" | "edge" | "external";
  /** Numeric scores in `NUMERIC_SCORES` order; absent when the event was not scored. */
  sc?: number[];
  /** The same scores on the visitor's previous scored event of the session; absent on the first. */
  pv?: number[];
  /** Emotional state and decision stage; absent when not scored. */
  em?: (typeof EMOTIONAL_STATES)[number];
  st?: (typeof DECISION_STAGES)[number];
  /** `include=labels`: fine emotion, fine stage, coverage lane of a bot (or null), human confidence. */
  l?: { em?: (typeof FINE_EMOTIONS)[number]; st?: (typeof FINE_STAGES)[number]; ln: (typeof LABEL_LANES)[number] | null; hc: number };
  /** `include=event`: name, category, action, label, value, element selector of the event itself. */
  n?: string;
  ca?: string;
  a?: string;
  la?: string;
  va?: number;
  el?: string;
  /** `include=locale`. */
  co?: string;
  lg?: string;
  /** `include=explain`: per numeric score up to three `[signal name, contribution]`, contribution = weight × x rounded to 2 decimals. */
  x?: { [S in NumericScore]?: [string, number][] };
}

/** Optional additions to a default frame, asked for by `include=`. */
export const FEED_INCLUDES = ["cursor", "ids", "time", "event", "labels", "explain", "locale", "origin"] as const;
export type FeedInclude = (typeof FEED_INCLUDES)[number];

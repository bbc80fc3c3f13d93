/**
 * Names of the signals behind each numeric score, in the order of the published weight tables.
 * They are wire-visible (`include=explain`) and are what a site may re-weight. Tests: services/scoring/src/domain.
 */
import type { NumericScore } from "./labeled-event.ts";

export const SCORE_SIGNALS = {
  intent: ["product_depth", "cart", "returning", "search", "time", "scroll", "form", "direct"],
  frustration: ["rage_clicks", "dead_clicks", "errors", "form_friction", "u_turns", "cursor_thrash"],
  engagement: ["active_time", "scroll", "clicks", "pageviews", "forms", "returning", "custom_events"],
  value: ["cart_value", "intent", "past_revenue", "engagement", "referral", "pageviews", "device_geo"],
  churn: [
    "visit_frequency",
    "engagement_drop",
    "feature_drop",
    "cancel_page",
    "competitor",
    "duration_drop",
    "frustration_history",
    "billing_page",
    "content_drop",
  ],
  abandonment: [
    "low_engagement",
    "exit_intent",
    "idle",
    "tab_hidden",
    "scroll_top",
    "back_out",
    "form_abandoned",
    "cart_removal",
    "hesitation",
  ],
  conversionReadiness: [
    "funnel_depth",
    "past_conversion",
    "intent",
    "time",
    "cart_momentum",
    "form_progress",
    "engagement",
    "calm",
    "returning",
  ],
  sessionMomentum: ["stage", "pace", "intent", "frustration"],
  confusion: ["circular", "menu_scan", "search", "dwell", "rapid_switching", "scroll_restart", "help"],
} as const satisfies Record<NumericScore, readonly string[]>;

export type ScoreSignal<S extends NumericScore> = (typeof SCORE_SIGNALS)[S][number];

/** Scores whose weighted sum is bent upward by a calibration constant. */
export const CALIBRATED_SCORES = [
  "intent",
  "frustration",
  "engagement",
  "churn",
  "abandonment",
  "conversionReadiness",
  "confusion",
] as const satisfies readonly NumericScore[];
export type CalibratedScore = (typeof CALIBRATED_SCORES)[number];

/** Groups of counters that fade between events. */
export const DECAYING = ["frustration", "confusion", "abandonment", "momentum"] as const;
export type Decaying = (typeof DECAYING)[number];

/** Kinds of page the model tells apart; the first one that matches a path wins. */
export const PAGE_CATEGORIES = [
  "purchase",
  "payment",
  "checkout",
  "cart",
  "signup",
  "cancel",
  "billing",
  "pricing",
  "product",
  "help",
  "search",
  "content",
] as const;
export type PageCategory = (typeof PAGE_CATEGORIES)[number] | "other";

/** Where a session came from, for `referralQuality`. */
export const REFERRAL_CHANNELS = ["direct", "search", "social", "email", "paid", "ai", "internal", "referral"] as const;
export type ReferralChannel = (typeof REFERRAL_CHANNELS)[number];

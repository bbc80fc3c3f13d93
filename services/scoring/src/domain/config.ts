/**
 * Every constant of the scoring model in one versioned object. A change of any number here is a new `version`.
 * Sites override parts of it through `SiteScoringSettings`. Formulas: scores/*.ts. Tests: vectors.test.ts.
 */
import type { CalibratedScore, Decaying, NumericScore, ScoreSignal } from "@headwater/protocol";

export type Weights = { readonly [S in NumericScore]: { readonly [Signal in ScoreSignal<S>]: number } };

export interface ScoringConfig {
  readonly version: string;
  readonly weights: Weights;
  readonly calibration: { readonly [S in CalibratedScore]: number };
  readonly halfLifeSec: { readonly [D in Decaying]: number };
}

export const SCORING_CONFIG: ScoringConfig = {
  version: "2026-1",
  weights: {
    intent: { product_depth: 0.25, cart: 0.2, returning: 0.15, search: 0.12, time: 0.1, scroll: 0.08, form: 0.06, direct: 0.04 },
    frustration: { rage_clicks: 0.3, dead_clicks: 0.2, errors: 0.2, form_friction: 0.12, u_turns: 0.1, cursor_thrash: 0.08 },
    engagement: { active_time: 0.25, scroll: 0.2, clicks: 0.2, pageviews: 0.15, forms: 0.1, returning: 0.05, custom_events: 0.05 },
    value: { cart_value: 0.25, intent: 0.2, past_revenue: 0.15, engagement: 0.12, referral: 0.1, pageviews: 0.08, device_geo: 0.1 },
    churn: {
      visit_frequency: 0.18,
      engagement_drop: 0.16,
      feature_drop: 0.14,
      cancel_page: 0.12,
      competitor: 0.1,
      duration_drop: 0.08,
      frustration_history: 0.08,
      billing_page: 0.08,
      content_drop: 0.06,
    },
    abandonment: {
      low_engagement: 0.08,
      exit_intent: 0.2,
      idle: 0.18,
      tab_hidden: 0.15,
      scroll_top: 0.12,
      back_out: 0.12,
      form_abandoned: 0.1,
      cart_removal: 0.08,
      hesitation: 0.05,
    },
    conversionReadiness: {
      funnel_depth: 0.22,
      past_conversion: 0.16,
      intent: 0.14,
      time: 0.12,
      cart_momentum: 0.1,
      form_progress: 0.08,
      engagement: 0.06,
      calm: 0.06,
      returning: 0.06,
    },
    sessionMomentum: { stage: 0.4, pace: 0.1, intent: 0.3, frustration: -0.2 },
    confusion: { circular: 0.22, menu_scan: 0.18, search: 0.16, dwell: 0.14, rapid_switching: 0.12, scroll_restart: 0.1, help: 0.08 },
  },
  calibration: { intent: 3, frustration: 3, engagement: 1.5, churn: 1.5, abandonment: 2.5, conversionReadiness: 1.8, confusion: 2.5 },
  halfLifeSec: { frustration: 120, confusion: 180, abandonment: 60, momentum: 300 },
};

/** Shown in the hello frame of the feed. */
export const SCORING_VERSION: string = SCORING_CONFIG.version;

/** A session ends after this much silence, or after this long in total. */
export const SESSION_IDLE_MS = 30 * 60_000;
export const SESSION_MAX_MS = 24 * 3_600_000;
export const DAY_MS = 24 * 3_600_000;

/** Longest part of a pause that counts as active time. */
export const ACTIVE_CAP_MS = 30_000;

/** Value of a history signal until two prior sessions exist. */
export const NEUTRAL_HISTORY = 0.1;

/** Element texts that are pressed repeatedly on purpose. */
export const RAGE_IGNORED_TEXTS: readonly string[] = ["next", "prev", "previous", "+", "-", "<", ">", "‹", "›"];
export const RAGE_DEFAULTS = { clicks: 3, windowMs: 1_000, radiusPx: 30 } as const;

/** Bounds of the state, in entries. */
export const BOUNDS = {
  liveSessions: 4,
  closedSessions: 8,
  gaps: 20,
  views: 24,
  scrolledPages: 24,
  convPages: 6,
  selectors: 3,
  kinds: 16,
  seenIds: 1_000,
} as const;
/** Money and counters stop here, so that no sequence of inputs can produce a value JSON cannot carry. */
export const AMOUNT_MAX = 1e9;

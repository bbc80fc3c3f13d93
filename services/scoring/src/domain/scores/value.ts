/** value: expected monetary value, a plain weighted sum. Weights published. Tests: ../vectors.test.ts. */
import type { History } from "../history.ts";
import { clamp } from "../numeric.ts";
import type { SiteScoring } from "../site-scoring.ts";
import type { SessionState } from "../visitor-state.ts";

export interface ValueInputs {
  readonly intent: number;
  readonly engagement: number;
  /** Quality of device and country, 0–1. */
  readonly deviceGeo: number;
}

/** Signal values 0–1 in `SCORE_SIGNALS.value` order. */
export function valueSignals(session: SessionState, history: History, site: SiteScoring, inputs: ValueInputs): number[] {
  return [
    Math.max(clamp(session.cartValue / site.valueReference), session.planTier, session.cartSignal > 0 ? 0.3 : 0),
    inputs.intent / 100,
    clamp(history.pastRevenue / site.revenueReference),
    inputs.engagement / 100,
    site.referralQuality(session.channel === "" ? "direct" : session.channel),
    clamp(session.pageviews / 8),
    inputs.deviceGeo,
  ];
}

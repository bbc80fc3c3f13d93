/** churn: probability that the visitor does not come back. Weights published. Tests: ../vectors.test.ts. */
import type { History } from "../history.ts";
import { clamp } from "../numeric.ts";
import type { SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.churn` order. */
export function churnSignals(session: SessionState, history: History, frustration: number): number[] {
  return [
    history.visitFrequencyDrop,
    history.engagementDrop,
    history.featureDrop,
    session.sawCancel ? 1 : 0,
    session.sawCompetitor ? 1 : 0,
    history.durationDrop,
    history.lastFrustration === undefined ? frustration / 100 : clamp((history.lastFrustration + frustration) / 160),
    session.sawBilling && !session.bought ? 1 : 0,
    history.contentDrop,
  ];
}

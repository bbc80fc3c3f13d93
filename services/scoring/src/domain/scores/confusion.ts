/** confusion: the visitor does not know where to go. Weights published. Tests: ../vectors.test.ts. */
import type { SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.confusion` order: each was set to 1 when detected and has faded since. */
export function confusionSignals(session: SessionState): number[] {
  return session.confusion.slice();
}

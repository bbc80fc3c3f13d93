/** conversionReadiness: intent plus session signals. First five weights published. Tests: ../vectors.test.ts. */
import type { History } from "../history.ts";
import { clamp } from "../numeric.ts";
import type { SessionState } from "../visitor-state.ts";

export interface ReadinessInputs {
  readonly intent: number;
  readonly engagement: number;
  readonly frustration: number;
}

/** Signal values in `SCORE_SIGNALS.conversionReadiness` order, 0–1. */
export function readinessSignals(session: SessionState, history: History, inputs: ReadinessInputs): number[] {
  return [
    session.deep,
    clamp(history.conversionRate),
    inputs.intent / 100,
    clamp(session.convMs / 120_000),
    cartMomentum(session.cartAdds, session.cartRemoves),
    session.formProgress,
    inputs.engagement / 100,
    1 - inputs.frustration / 100,
    history.returning,
  ];
}

function cartMomentum(adds: number, removes: number): number {
  return adds + removes === 0 ? 0 : 0.5 + (0.5 * (adds - removes)) / (adds + removes);
}

/** frustration: friction met on the site. Weights ours. Tests: ../vectors.test.ts. */
import { clamp } from "../numeric.ts";
import { FRUSTRATION, type SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.frustration` order. */
export function frustrationSignals(session: SessionState): number[] {
  const count = session.frustration;
  return [
    clamp((count[FRUSTRATION.rage] ?? 0) / 2),
    clamp((count[FRUSTRATION.dead] ?? 0) / 2),
    clamp((count[FRUSTRATION.errors] ?? 0) / 2),
    clamp((count[FRUSTRATION.form] ?? 0) / 2),
    clamp((count[FRUSTRATION.uTurns] ?? 0) / 3),
    clamp((count[FRUSTRATION.thrash] ?? 0) / 3),
  ];
}

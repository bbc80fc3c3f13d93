/** sessionMomentum: speed and direction through the funnel, −1…1, positive = accelerating. Tests: ../vectors.test.ts. */
import { clamp, clampSigned } from "../numeric.ts";
import type { SessionState } from "../visitor-state.ts";

const SLOW_PAUSE_SEC = 60;

export interface MomentumInputs {
  /** −1, 0 or +1 from the event just applied. */
  readonly movement: number;
  readonly dtMs: number;
  readonly intentChange: number;
  readonly frustrationChange: number;
}

/** Signal values in `SCORE_SIGNALS.sessionMomentum` order, each −1…1. */
export function momentumSignals(session: SessionState, inputs: MomentumInputs): number[] {
  return [
    inputs.movement,
    pace(session.gaps, inputs.dtMs / 1_000),
    clampSigned(inputs.intentChange / 10),
    clamp(inputs.frustrationChange / 20),
  ];
}

/** Compares the pause before this event with up to five pauses before it. */
function pace(gaps: readonly number[], dtSec: number): number {
  const earlier = gaps.slice(-6, -1);
  if (earlier.length === 0) return 0;
  if (dtSec > SLOW_PAUSE_SEC) return -1;
  const meanSec = earlier.reduce((total, gap) => total + gap, 0) / earlier.length / 1_000;
  return clampSigned((meanSec - dtSec) / Math.max(meanSec, 1));
}

/** The momentum after an event, from the one before it and the weighted signals' sum. */
export function nextMomentum(momentum: number, drive: number, dtMs: number, halfLifeSec: number): number {
  return clampSigned(0.8 * momentum * 2 ** (-dtMs / 1_000 / halfLifeSec) + 0.4 * drive);
}

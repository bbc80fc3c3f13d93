/** engagement: depth and quality of interaction. Weights ours. Tests: ../vectors.test.ts. */
import { clamp } from "../numeric.ts";
import type { SessionState } from "../visitor-state.ts";
import { meanScroll } from "./intent.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.engagement` order. */
export function engagementSignals(session: SessionState, returning: number): number[] {
  return [
    clamp(session.activeMs / 180_000),
    meanScroll(session, false),
    clamp(session.clicks / 12),
    clamp(session.pageviews / 6),
    clamp(session.forms / 4),
    returning,
    clamp(session.customs / 3),
  ];
}

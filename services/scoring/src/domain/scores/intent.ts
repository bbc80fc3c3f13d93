/** intent: likelihood of completing a conversion in this session. Weights published. Tests: ../vectors.test.ts. */
import { clamp } from "../numeric.ts";
import { categoryAt } from "../page-categories.ts";
import type { SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.intent` order. */
export function intentSignals(session: SessionState, returning: number): number[] {
  return [
    session.hvViews / (session.pageviews + 1),
    session.cartSignal,
    returning,
    clamp((session.refinedSearches + 0.5 * session.searches) / 2),
    clamp(session.hvMs / 90_000),
    meanScroll(session, true),
    session.formDepth,
    session.cameDirect ? 1 : 0,
  ];
}

/** Mean of the deepest scroll per page, 0–1, over scrolled pages (only the high-value ones if asked). */
export function meanScroll(session: SessionState, onlyHighValue: boolean): number {
  let pages = 0;
  let total = 0;
  for (let i = 0; i < session.scrolled.length; i += 3) {
    if (onlyHighValue && !categoryAt(session.scrolled[i + 2] ?? -1).isHighValue) continue;
    pages++;
    total += session.scrolled[i + 1] ?? 0;
  }
  return pages === 0 ? 0 : total / pages / 100;
}

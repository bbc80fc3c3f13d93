/**
 * Steps 2 and 3 of the order of operations: lets time pass in a session before an event is applied.
 * Fades the counters, adds active time, notices idling and dwelling. Tests: vectors.test.ts, sessions.test.ts.
 */
import { ACTIVE_CAP_MS, BOUNDS } from "./config.ts";
import { compact } from "./numeric.ts";
import { categoryAt } from "./page-categories.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { ABANDONMENT, CONFUSION, type SessionState } from "./visitor-state.ts";

const IDLE_MS = 30_000;

/**
 * @param at event time, ms; one older than the last event counts as the same moment.
 * @returns ms since the previous event of the session, 0 for the first.
 */
export function advanceSession(session: SessionState, at: number, site: SiteScoring): number {
  const isFirst = session.kinds.length === 0;
  const dtMs = Math.max(0, Math.round(at - session.lastAt));
  session.lastAt += dtMs;
  if (isFirst) return 0;

  if (dtMs > 0) {
    fade(session.frustration, dtMs, site.halfLifeSec.frustration);
    fade(session.confusion, dtMs, site.halfLifeSec.confusion);
    fade(session.abandonment, dtMs, site.halfLifeSec.abandonment);
  }
  session.gaps.push(dtMs);
  if (session.gaps.length > BOUNDS.gaps) session.gaps.shift();

  const page = categoryAt(session.category);
  const activeMs = Math.min(dtMs, ACTIVE_CAP_MS);
  session.activeMs += activeMs;
  if (page.isHighValue) session.hvMs += activeMs;
  if (page.isConversion) session.convMs += activeMs;
  if (dtMs >= IDLE_MS) {
    if (page.isFlow) session.abandonment[ABANDONMENT.idle] = 1;
    if (session.afterPageview) session.confusion[CONFUSION.dwell] = 1;
  }
  return dtMs;
}

function fade(counters: number[], dtMs: number, halfLifeSec: number): void {
  const factor = 2 ** (-dtMs / 1_000 / halfLifeSec);
  for (let i = 0; i < counters.length; i++) {
    const value = counters[i] ?? 0;
    if (value !== 0) counters[i] = compact(value * factor);
  }
}

/**
 * What a visitor's ended sessions say about the running one. Signals that need history are neutral until two sessions have ended.
 * Tests: history.test.ts, vectors.test.ts (rows 20 and 37).
 */
import { DAY_MS, NEUTRAL_HISTORY } from "./config.ts";
import { clamp } from "./numeric.ts";
import type { ClosedSession, SessionState, VisitorState } from "./visitor-state.ts";

const NEUTRAL_SESSIONS = 10;

export interface History {
  /** Sessions begun in the seven days before this one, as 0–1 of three. */
  readonly returning: number;
  readonly pastRevenue: number;
  /** Share of ended sessions that bought, drawn towards `NEUTRAL_HISTORY` while there are few. */
  readonly conversionRate: number;
  readonly lastFrustration: number | undefined;
  readonly visitFrequencyDrop: number;
  readonly engagementDrop: number;
  readonly featureDrop: number;
  readonly durationDrop: number;
  readonly contentDrop: number;
}

/** @param engagement of the running session, 0–100. */
export function historyOf(state: VisitorState, session: SessionState, engagement: number): History {
  const closed = state.closed;
  const isKnown = closed.length >= 2;
  return {
    returning: returningOf(state, session),
    pastRevenue: state.revenue,
    conversionRate: conversionRateOf(closed),
    lastFrustration: closed.at(-1)?.frustration,
    visitFrequencyDrop: isKnown ? intervalGrowth([...closed.slice(-3).map((past) => past.startAt), session.startAt]) : NEUTRAL_HISTORY,
    engagementDrop: isKnown ? clamp((meanOf(closed.slice(-3), (past) => past.engagement) - engagement) / 50) : NEUTRAL_HISTORY,
    featureDrop: isKnown
      ? shortfall(
          session.kinds.length,
          meanOf(closed, (past) => past.kinds),
        )
      : NEUTRAL_HISTORY,
    durationDrop: isKnown
      ? shortfall(
          session.lastAt - session.startAt,
          meanOf(closed, (past) => past.endAt - past.startAt),
        )
      : NEUTRAL_HISTORY,
    // Mail opens and notifications come from outside; no source exists.
    contentDrop: NEUTRAL_HISTORY,
  };
}

/** Sessions of the seven days before this one began, three count as 1. */
export function returningOf(state: VisitorState, session: SessionState): number {
  if (state.closed.length === 0) return 0;
  const since = session.startAt - 7 * DAY_MS;
  return clamp(state.closed.filter((past) => past.startAt >= since && past.startAt <= session.startAt).length / 3);
}

/** Three visits without a purchase are no proof of a rate of zero: the neutral rate counts as ten more sessions. */
function conversionRateOf(closed: readonly ClosedSession[]): number {
  const bought = closed.filter((past) => past.bought).length;
  return (bought + NEUTRAL_HISTORY * NEUTRAL_SESSIONS) / (closed.length + NEUTRAL_SESSIONS);
}

/** How fast the intervals between visits grow: least-squares slope over their mean, 0 = steady or shrinking. */
function intervalGrowth(starts: readonly number[]): number {
  const intervals = starts.slice(1).map((start, i) => Math.max(0, start - (starts[i] ?? start)));
  const mean = intervals.reduce((total, interval) => total + interval, 0) / intervals.length;
  if (intervals.length < 2 || mean === 0) return 0;
  const middle = (intervals.length - 1) / 2;
  let covariance = 0;
  let variance = 0;
  intervals.forEach((interval, i) => {
    covariance += (i - middle) * (interval - mean);
    variance += (i - middle) ** 2;
  });
  return clamp(covariance / variance / mean);
}

function shortfall(value: number, average: number): number {
  return average <= 0 ? 0 : clamp(1 - value / average);
}

function meanOf(sessions: readonly ClosedSession[], pick: (session: ClosedSession) => number): number {
  return sessions.reduce((total, session) => total + pick(session), 0) / sessions.length;
}

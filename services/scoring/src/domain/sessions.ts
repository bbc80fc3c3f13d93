/**
 * Which session an event belongs to, and what is kept when one ends. Event times decide, never a clock.
 * Mutates the visitor's state. Tests: sessions.test.ts.
 */
import { NUMERIC_SCORES } from "@headwater/protocol";
import { AMOUNT_MAX, BOUNDS, SESSION_IDLE_MS, SESSION_MAX_MS } from "./config.ts";
import { newSession, type SessionState, type VisitorState } from "./visitor-state.ts";

const ENGAGEMENT = NUMERIC_SCORES.indexOf("engagement");
const FRUSTRATION = NUMERIC_SCORES.indexOf("frustration");

/** The live session of this id, if it is still running at event time `at`. Changes nothing. */
export function liveSession(state: VisitorState, sessionId: string, at: number): SessionState | undefined {
  return state.live.find((session) => session.id === sessionId && !isOver(session, at));
}

/**
 * The session an event at time `at` is scored in: ends the ones that have run out, resumes or opens this one,
 * and makes it the most recently used. An id whose session has run out starts afresh under the same id.
 */
export function enterSession(state: VisitorState, sessionId: string, at: number): SessionState {
  const newest = state.live.at(-1);
  if (newest !== undefined && state.live.length === 1 && newest.id === sessionId && !isOver(newest, at)) return newest;

  const ended = state.live.filter((session) => isOver(session, at));
  const live = state.live.filter((session) => !isOver(session, at));
  const session = live.find((candidate) => candidate.id === sessionId) ?? newSession(sessionId, Math.round(at));
  const others = live.filter((candidate) => candidate !== session);
  ended.push(...others.splice(0, others.length - (BOUNDS.liveSessions - 1)));
  for (const over of ended.sort((a, b) => a.lastAt - b.lastAt)) closeSession(state, over);
  state.live = [...others, session];
  return session;
}

function isOver(session: SessionState, at: number): boolean {
  return at - session.lastAt > SESSION_IDLE_MS || at - session.startAt > SESSION_MAX_MS;
}

function closeSession(state: VisitorState, session: SessionState): void {
  state.revenue = Math.min(AMOUNT_MAX, state.revenue + session.revenue);
  state.closed.push({
    startAt: session.startAt,
    endAt: session.lastAt,
    engagement: session.scores[ENGAGEMENT] ?? 0,
    frustration: session.scores[FRUSTRATION] ?? 0,
    kinds: session.kinds.length,
    bought: session.bought,
  });
  if (state.closed.length > BOUNDS.closedSessions) state.closed.shift();
}

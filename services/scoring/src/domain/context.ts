/**
 * Snapshot of a visitor for `GET /v1/signals/:visitorId`: the labels of the last scored event, not re-decayed.
 * Tests: context.test.ts.
 */
import type { IDENTITY_STATUSES, Scores, VisitorContext } from "@headwater/protocol";
import { packedId } from "./hashing.ts";
import type { LastLabels, SessionState, VisitorState } from "./visitor-state.ts";

/** @returns null when the visitor (or that session of theirs) was never scored or has been replaced. */
export function visitorContext(state: VisitorState, tenantId: string, visitorId: string, sessionId?: string): VisitorContext | null {
  const session = sessionId === undefined ? state.live.at(-1) : state.live.find((candidate) => candidate.id === sessionId);
  const last = session?.last;
  if (session === undefined || last === undefined) return null;
  const locale = localeOf(state);
  return {
    bot: last.bot,
    behavioralClass: last.class,
    identity: {
      status: identityStatusOf(state),
      visitorId,
      clickstreamId: `cs_${packedId(`${tenantId}\n${visitorId}`)}${packedId(`${visitorId}\n${tenantId}`)}`,
      mergedClickstreamIds: [],
      isReturning: state.closed.length > 0,
      hasIdentifiedThisSession: session.identified,
    },
    scores: scoresOf(session, last),
    session: { sessionId: session.id, durationMs: session.lastAt - session.startAt, pagesInSession: session.pageviews },
    device: last.device,
    ...(locale === undefined ? {} : { locale }),
    snapshotAt: new Date(last.ts).toISOString(),
    snapshotVersion: `${last.ts}-${last.id}`,
    ...(last.eid === undefined ? {} : { sourceEventId: last.eid }),
  };
}

function identityStatusOf(state: VisitorState): (typeof IDENTITY_STATUSES)[number] {
  if (state.hasSignalId) return "signal_identified";
  return state.hasCustomerId ? "customer_identified" : "anonymous";
}

function scoresOf(session: SessionState, last: LastLabels): Scores {
  const [intent = 0, frustration = 0, engagement = 0, value = 0, churn = 0, abandonment = 0, readiness = 0, momentum = 0, confusion = 0] =
    session.scores;
  return {
    intent,
    frustration,
    engagement,
    value,
    churn,
    abandonment,
    conversionReadiness: readiness,
    sessionMomentum: momentum,
    confusion,
    emotionalState: last.emotion,
    decisionStage: last.stage,
  };
}

function localeOf(state: VisitorState): VisitorContext["locale"] {
  const { language, timezone, country } = state;
  if (language === undefined && timezone === undefined && country === undefined) return undefined;
  return {
    language: language ?? null,
    languages: language === undefined ? [] : [language],
    primaryLanguage: language?.split("-")[0] ?? null,
    translatedTo: null,
    timezone: timezone ?? null,
    country: country ?? null,
    languageGeoMismatch: null,
    timezoneGeoMismatch: null,
    hourCycle: null,
  };
}

/** Context of a visitor whose first event is accepted but not scored yet: no evidence either way. Tests: neutral-context.test.ts. */
import type { VisitorContext } from "@headwater/protocol";

export function neutralContext(visitorId: string, sessionId: string, nowMs: number): VisitorContext {
  return {
    bot: { isBot: false, score: 0 },
    behavioralClass: "suspicious",
    identity: {
      status: "anonymous",
      visitorId,
      clickstreamId: "",
      mergedClickstreamIds: [],
      isReturning: false,
      hasIdentifiedThisSession: false,
    },
    scores: {
      intent: 0,
      frustration: 0,
      engagement: 0,
      value: 0,
      churn: 0,
      abandonment: 0,
      conversionReadiness: 0,
      sessionMomentum: 0,
      confusion: 0,
      emotionalState: "neutral",
      decisionStage: "awareness",
    },
    session: { sessionId, durationMs: 0, pagesInSession: 0 },
    device: { type: "desktop", browser: "Unknown", os: "Unknown", isMobile: false },
    snapshotAt: new Date(nowMs).toISOString(),
    snapshotVersion: "pending",
  };
}

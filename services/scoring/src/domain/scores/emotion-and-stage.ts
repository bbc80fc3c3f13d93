/** emotionalState and decisionStage, with their finer forms. First match wins. Tests: emotion-and-stage.test.ts, ../vectors.test.ts. */
import type { DECISION_STAGES, EMOTIONAL_STATES, FINE_EMOTIONS, FINE_STAGES } from "@headwater/protocol";
import type { SessionState } from "../visitor-state.ts";

type FineStage = (typeof FINE_STAGES)[number];
type DecisionStage = (typeof DECISION_STAGES)[number];

export interface MoodInputs {
  readonly engagement: number;
  readonly frustration: number;
  readonly confusion: number;
  readonly abandonment: number;
  readonly momentum: number;
}

const STAGE_OF: { readonly [F in FineStage]: DecisionStage } = {
  browsing: "awareness",
  evaluating: "consideration",
  comparing: "consideration",
  deciding: "decision",
  purchasing: "purchase",
};

export function fineStageOf(session: SessionState, intent: number): FineStage {
  if (session.bought || session.deep >= 0.8) return "purchasing";
  if (session.deep >= 0.6) return "deciding";
  if (session.deep >= 0.4 || session.hvViews >= 3) return "comparing";
  return session.hvViews >= 1 || intent >= 30 ? "evaluating" : "browsing";
}

export function decisionStageOf(stage: FineStage): DecisionStage {
  return STAGE_OF[stage];
}

export function emotionalStateOf(bought: boolean, mood: MoodInputs): (typeof EMOTIONAL_STATES)[number] {
  const valence =
    (0.5 * mood.engagement) / 100 +
    0.3 * Math.max(0, mood.momentum) +
    (bought ? 0.3 : 0) -
    (0.7 * mood.frustration) / 100 -
    (0.35 * mood.confusion) / 100 -
    0.2 * Math.max(0, -mood.momentum);
  if (valence >= 0.2) return "positive";
  return valence <= -0.15 ? "negative" : "neutral";
}

export function fineEmotionOf(pageviews: number, stage: FineStage, mood: MoodInputs): (typeof FINE_EMOTIONS)[number] {
  if (mood.frustration >= 60) return "frustrated";
  if (mood.confusion >= 60) return "confused";
  if ((stage === "deciding" || stage === "purchasing") && mood.momentum > 0.3) return "decisive";
  if (stage === "deciding" && (mood.abandonment >= 50 || mood.momentum < -0.1)) return "hesitant";
  if (mood.engagement >= 75 && mood.momentum >= 0.4) return "excited";
  if (mood.engagement >= 50) return "engaged";
  return pageviews >= 2 && mood.engagement >= 20 ? "curious" : "neutral";
}

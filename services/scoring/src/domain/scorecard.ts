/**
 * Step 6 of the order of operations: all eleven scores of a session after an event, with the contribution of every signal.
 * Scores feed each other unrounded; only what leaves is rounded. Sets `session.momentum`, changes nothing else.
 * Tests: vectors.test.ts.
 */
import type { DECISION_STAGES, EMOTIONAL_STATES, FINE_EMOTIONS, FINE_STAGES, NumericScore } from "@headwater/protocol";
import { historyOf, returningOf } from "./history.ts";
import { bounded, calibrate, compact, round2, sum } from "./numeric.ts";
import { abandonmentSignals } from "./scores/abandonment.ts";
import { churnSignals } from "./scores/churn.ts";
import { confusionSignals } from "./scores/confusion.ts";
import { readinessSignals } from "./scores/conversion-readiness.ts";
import { decisionStageOf, emotionalStateOf, fineEmotionOf, fineStageOf } from "./scores/emotion-and-stage.ts";
import { engagementSignals } from "./scores/engagement.ts";
import { frustrationSignals } from "./scores/frustration.ts";
import { intentSignals } from "./scores/intent.ts";
import { momentumSignals, nextMomentum } from "./scores/momentum.ts";
import { valueSignals } from "./scores/value.ts";
import type { SiteScoring } from "./site-scoring.ts";
import type { SessionState, VisitorState } from "./visitor-state.ts";

export interface Scorecard {
  /** `NUMERIC_SCORES` order, as published. */
  readonly values: number[];
  readonly emotion: (typeof EMOTIONAL_STATES)[number];
  readonly stage: (typeof DECISION_STAGES)[number];
  readonly fineEmotion: (typeof FINE_EMOTIONS)[number];
  readonly fineStage: (typeof FINE_STAGES)[number];
  /** Weight × signal in `SCORE_SIGNALS` order. */
  readonly contributions: { readonly [S in NumericScore]: readonly number[] };
}

export interface StepFacts {
  readonly movement: number;
  readonly dtMs: number;
  /** Quality of device and country, 0–1. */
  readonly deviceGeo: number;
}

export function scoreSession(state: VisitorState, session: SessionState, step: StepFacts, site: SiteScoring): Scorecard {
  const weights = site.weights;
  const k = site.calibration;
  const returning = returningOf(state, session);

  const intentParts = weigh(weights.intent, intentSignals(session, returning));
  const intent = calibrate(sum(intentParts), k.intent);
  const frustrationParts = weigh(weights.frustration, frustrationSignals(session));
  const frustration = calibrate(sum(frustrationParts), k.frustration);
  const engagementParts = weigh(weights.engagement, engagementSignals(session, returning));
  const engagement = calibrate(sum(engagementParts), k.engagement);
  const confusionParts = weigh(weights.confusion, confusionSignals(session));
  const confusion = calibrate(sum(confusionParts), k.confusion);

  const history = historyOf(state, session, engagement);
  const valueParts = weigh(weights.value, valueSignals(session, history, site, { intent, engagement, deviceGeo: step.deviceGeo }));
  const value = bounded(100 * sum(valueParts), 0, 100, 0);
  const churnParts = weigh(weights.churn, churnSignals(session, history, frustration));
  const churn = calibrate(sum(churnParts), k.churn);
  const abandonmentParts = weigh(weights.abandonment, abandonmentSignals(session, engagement));
  const abandonment = calibrate(sum(abandonmentParts), k.abandonment);
  const readinessParts = weigh(weights.conversionReadiness, readinessSignals(session, history, { intent, engagement, frustration }));
  const readiness = session.bought ? 100 : calibrate(sum(readinessParts), k.conversionReadiness);

  const momentumParts = weigh(
    weights.sessionMomentum,
    momentumSignals(session, {
      movement: step.movement,
      dtMs: step.dtMs,
      intentChange: intent - (session.scores[0] ?? 0),
      frustrationChange: frustration - (session.scores[1] ?? 0),
    }),
  );
  const momentum = nextMomentum(session.momentum, sum(momentumParts), step.dtMs, site.halfLifeSec.momentum);
  session.momentum = compact(momentum);

  const mood = { engagement, frustration, confusion, abandonment, momentum };
  const fineStage = fineStageOf(session, intent);
  return {
    values: [
      Math.round(intent),
      Math.round(frustration),
      Math.round(engagement),
      Math.round(value),
      Math.round(churn),
      Math.round(abandonment),
      Math.round(readiness),
      round2(momentum),
      Math.round(confusion),
    ],
    emotion: emotionalStateOf(session.bought, mood),
    stage: decisionStageOf(fineStage),
    fineEmotion: fineEmotionOf(session.pageviews, fineStage, mood),
    fineStage,
    contributions: {
      intent: intentParts,
      frustration: frustrationParts,
      engagement: engagementParts,
      value: valueParts,
      churn: churnParts,
      abandonment: abandonmentParts,
      conversionReadiness: readinessParts,
      sessionMomentum: momentumParts,
      confusion: confusionParts,
    },
  };
}

function weigh(weights: readonly number[], signals: number[]): number[] {
  for (let i = 0; i < signals.length; i++) signals[i] = (signals[i] ?? 0) * (weights[i] ?? 0);
  return signals;
}

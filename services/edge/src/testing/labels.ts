/** Labeled events for the edge's tests: a wire line and its ext line, built the way `scoring` writes them. Never imported by product code. */
import type { LabelExt } from "@headwater/protocol";

export interface TestLabel {
  wire: string;
  ext: LabelExt;
}

export function label(overrides: Partial<LabelExt> = {}): TestLabel {
  const ext: LabelExt = {
    k: 0,
    v: "vis_1",
    e: "click",
    c: "human",
    b: 0,
    p: "/pricing",
    s: "main",
    d: "desktop",
    i: 0,
    ts: 1_713_797_640_000,
    id: "evt_1",
    et: 1_713_797_639_000,
    o: "sdk",
    sc: [82, 15, 67, 44, 12, 18, 55, 0.42, 9],
    em: "positive",
    st: "consideration",
    l: { em: "curious", st: "evaluating", ln: null, hc: 91 },
    ...overrides,
  };
  return { wire: wireOf(ext), ext };
}

export function wireOf(ext: LabelExt): string {
  const [intent, frustration, engagement, value, churn, abandonment, conversionReadiness, sessionMomentum, confusion] = ext.sc ?? [];
  return JSON.stringify({
    type: "event",
    ts: ext.ts,
    visitorId: ext.v,
    sessionId: "sess_1",
    eventType: ext.e,
    page: ext.p,
    bot: { isBot: ext.b === 1, score: ext.b === 1 ? 95 : 8, ...(ext.bc === undefined ? {} : { category: ext.bc }) },
    behavioralClass: ext.c,
    device: { type: ext.d, browser: "Chrome", os: "macOS", isMobile: ext.d !== "desktop" },
    scores: ext.sc && {
      intent,
      frustration,
      engagement,
      value,
      churn,
      abandonment,
      conversionReadiness,
      sessionMomentum,
      confusion,
      emotionalState: ext.em,
      decisionStage: ext.st,
    },
    hasIdentified: ext.i === 1,
  });
}

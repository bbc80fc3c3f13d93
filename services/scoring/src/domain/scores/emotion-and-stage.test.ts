import { describe, expect, it } from "vitest";
import { newSession } from "../visitor-state.ts";
import { decisionStageOf, emotionalStateOf, fineEmotionOf, fineStageOf, type MoodInputs } from "./emotion-and-stage.ts";

const mood = (overrides: Partial<MoodInputs> = {}): MoodInputs => ({
  engagement: 0,
  frustration: 0,
  confusion: 0,
  abandonment: 0,
  momentum: 0,
  ...overrides,
});

describe("decision stage", () => {
  it.each([
    [{}, 0, "browsing", "awareness"],
    [{}, 30, "evaluating", "consideration"],
    [{ hvViews: 1 }, 0, "evaluating", "consideration"],
    [{ hvViews: 3 }, 0, "comparing", "consideration"],
    [{ deep: 0.4 }, 0, "comparing", "consideration"],
    [{ deep: 0.6 }, 0, "deciding", "decision"],
    [{ deep: 0.8 }, 0, "purchasing", "purchase"],
    [{ bought: true }, 0, "purchasing", "purchase"],
  ] as const)("%j with intent %d is %s", (overrides, intent, fine, stage) => {
    const found = fineStageOf({ ...newSession("s", 0), ...overrides }, intent);
    expect([found, decisionStageOf(found)]).toStrictEqual([fine, stage]);
  });
});

describe("emotion", () => {
  it.each([
    [mood({ engagement: 40 }), "positive"],
    [mood({ engagement: 39 }), "neutral"],
    [mood({ frustration: 22 }), "negative"],
    [mood({ momentum: -1 }), "negative"],
    [mood({ frustration: 21 }), "neutral"],
  ] as const)("%j is %s", (inputs, expected) => expect(emotionalStateOf(false, inputs)).toBe(expected));

  it("brightens with a purchase", () => expect(emotionalStateOf(true, mood())).toBe("positive"));

  it.each([
    ["browsing", mood({ frustration: 60, confusion: 90 }), "frustrated"],
    ["browsing", mood({ confusion: 60 }), "confused"],
    ["deciding", mood({ momentum: 0.31 }), "decisive"],
    ["deciding", mood({ abandonment: 50 }), "hesitant"],
    ["browsing", mood({ engagement: 75, momentum: 0.4 }), "excited"],
    ["browsing", mood({ engagement: 50 }), "engaged"],
    ["browsing", mood({ engagement: 20 }), "curious"],
    ["browsing", mood(), "neutral"],
  ] as const)("%s with %j feels %s", (stage, inputs, expected) => expect(fineEmotionOf(2, stage, inputs)).toBe(expected));
});

import { NUMERIC_SCORES, SCORE_SIGNALS } from "@headwater/protocol";
import { expect, it } from "vitest";
import { SCORING_CONFIG } from "./config.ts";
import { explain } from "./explain.ts";
import { foldScript } from "./fixtures.ts";
import { newVisitorState } from "./visitor-state.ts";

it("tells the three strongest reasons, largest first, and leaves out what adds nothing", () => {
  const { ext } = foldScript(newVisitorState(), "0 pv /pricing");
  expect(ext.x?.intent).toStrictEqual([
    ["product_depth", 0.13],
    ["cart", 0.1],
    ["direct", 0.04],
  ]);
  expect(ext.x).not.toHaveProperty("frustration");
  expect(ext.x?.sessionMomentum).toStrictEqual([
    ["stage", 0.4],
    ["intent", 0.3],
  ]);
});

it("keeps ties in table order, wherever the larger ones come", () => {
  const none = {
    intent: [],
    frustration: [],
    engagement: [],
    value: [],
    churn: [],
    abandonment: [],
    conversionReadiness: [],
    sessionMomentum: [],
    confusion: [],
  };
  const reasons = (parts: readonly number[]): (readonly [string, number])[] => explain({ ...none, intent: parts }).intent ?? [];
  const [a = "", b = "", c = "", d = ""] = SCORE_SIGNALS.intent;
  expect(reasons([0.1, 0.1, 0.1, 0.1])).toStrictEqual([
    [a, 0.1],
    [b, 0.1],
    [c, 0.1],
  ]);
  expect(reasons([0.1, 0.2, 0.1, 0.3])).toStrictEqual([
    [d, 0.3],
    [b, 0.2],
    [a, 0.1],
  ]);
  expect(reasons([0.004, 0, -0.2, 0.1])).toStrictEqual([[d, 0.1]]);
});

it("has a weight for every signal, and weights of a score add up to one where they are shares", () => {
  for (const score of NUMERIC_SCORES) {
    expect(Object.keys(SCORING_CONFIG.weights[score])).toStrictEqual([...SCORE_SIGNALS[score]]);
  }
  const shares = NUMERIC_SCORES.filter((score) => score !== "sessionMomentum" && score !== "abandonment");
  for (const score of shares) {
    expect(Object.values(SCORING_CONFIG.weights[score]).reduce((total: number, weight: number) => total + weight, 0)).toBeCloseTo(1, 9);
  }
});

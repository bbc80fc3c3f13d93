import { NUMERIC_SCORES, SCORE_SIGNALS } from "@headwater/protocol";
import { expect, it } from "vitest";
import { SCORING_CONFIG } from "./config.ts";
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

it("has a weight for every signal, and weights of a score add up to one where they are shares", () => {
  for (const score of NUMERIC_SCORES) {
    expect(Object.keys(SCORING_CONFIG.weights[score])).toStrictEqual([...SCORE_SIGNALS[score]]);
  }
  const shares = NUMERIC_SCORES.filter((score) => score !== "sessionMomentum" && score !== "abandonment");
  for (const score of shares) {
    expect(Object.values(SCORING_CONFIG.weights[score]).reduce((total: number, weight: number) => total + weight, 0)).toBeCloseTo(1, 9);
  }
});

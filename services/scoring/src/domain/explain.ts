/** The strongest reasons behind each numeric score, for `include=explain`. Tests: explain.test.ts. */
import { type LabelExt, NUMERIC_SCORES, SCORE_SIGNALS } from "@headwater/protocol";
import { round2 } from "./numeric.ts";
import type { Scorecard } from "./scorecard.ts";

const REASONS = 3;
/** Below this a contribution rounds to nothing. */
const VISIBLE = 0.005;

/** Up to three `[signal, contribution]` per score, largest first, ties in table order; scores without any are left out. */
export function explain(contributions: Scorecard["contributions"]): NonNullable<LabelExt["x"]> {
  const explained: NonNullable<LabelExt["x"]> = {};
  for (const score of NUMERIC_SCORES) {
    const reasons = strongest(SCORE_SIGNALS[score], contributions[score]);
    if (reasons.length > 0) explained[score] = reasons;
  }
  return explained;
}

/** Insertion into a list of three: called for every score of every event, so it does not sort. */
function strongest(names: readonly string[], parts: readonly number[]): [string, number][] {
  const top: [string, number][] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? 0;
    if (part < VISIBLE) continue;
    let place = top.length;
    while (place > 0 && (top[place - 1]?.[1] ?? 0) < part) place--;
    if (place >= REASONS) continue;
    top.splice(place, 0, [names[i] ?? "", part]);
    if (top.length > REASONS) top.pop();
  }
  for (const reason of top) reason[1] = round2(reason[1]);
  return top;
}

/** The strongest reasons behind each numeric score, for `include=explain`. Tests: explain.test.ts. */
import { type LabelExt, NUMERIC_SCORES, SCORE_SIGNALS } from "@headwater/protocol";
import { round2 } from "./numeric.ts";
import type { Scorecard } from "./scorecard.ts";

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

/** Positions of the three largest, by comparison alone: called for every score of every event, so it neither sorts nor shifts. */
function strongest(names: readonly string[], parts: readonly number[]): [string, number][] {
  let first = -1;
  let second = -1;
  let third = -1;
  let most = 0;
  let more = 0;
  let less = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] ?? 0;
    if (part < VISIBLE || part <= less) continue;
    if (part <= more) {
      third = i;
      less = part;
      continue;
    }
    third = second;
    less = more;
    if (part <= most) {
      second = i;
      more = part;
      continue;
    }
    second = first;
    more = most;
    first = i;
    most = part;
  }
  if (first < 0) return [];
  const top: [string, number][] = [[names[first] ?? "", round2(most)]];
  if (second >= 0) top.push([names[second] ?? "", round2(more)]);
  if (third >= 0) top.push([names[third] ?? "", round2(less)]);
  return top;
}

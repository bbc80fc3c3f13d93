/**
 * `crossing=intent:70`: one alert each time a visitor's score rises to the threshold, re-armed only after it fell by the hysteresis.
 * State of one socket, bounded: only visitors that are inside the hysteresis band after an alert are remembered, everything else
 * follows from the previous score in `ext.pv`. Tests: crossing.test.ts.
 */
import { type LabelExt, NUMERIC_SCORES } from "@headwater/protocol";
import { type Dialect, scoreScale, type ThresholdCrossing } from "./filter.ts";

const HYSTERESIS = 5;
/** `sessionMomentum` lives on −1…1 instead of 0…100. */
const MOMENTUM_HYSTERESIS = 0.05;
const MAX_HELD_VISITORS = 10_000;

interface Watch {
  index: number;
  threshold: number;
  /** At or below: armed again. */
  rearmAt: number;
  /** Visitors inside the band that have already alerted. Insertion order = age. */
  held: Set<string>;
}

export class CrossingDetector {
  readonly #watches: Watch[];

  constructor(crossings: readonly ThresholdCrossing[], dialect: Dialect) {
    this.#watches = crossings.map(({ score, threshold }) => {
      const scaled = threshold / scoreScale(score, dialect);
      return {
        index: NUMERIC_SCORES.indexOf(score),
        threshold: scaled,
        rearmAt: scaled - (score === "sessionMomentum" ? MOMENTUM_HYSTERESIS : HYSTERESIS),
        held: new Set(),
      };
    });
  }

  /** Must see every event of the tenant in order, whatever else the filter says. @returns whether any watched score crossed on this event. */
  observe(ext: LabelExt): boolean {
    let crossed = false;
    for (const watch of this.#watches) if (observeOne(watch, ext)) crossed = true;
    return crossed;
  }
}

function observeOne(watch: Watch, ext: LabelExt): boolean {
  const now = ext.sc?.[watch.index];
  if (now === undefined) return false;
  const before = ext.pv?.[watch.index];
  const armed = before === undefined || before <= watch.rearmAt || (before < watch.threshold && !watch.held.has(ext.v));
  if (now >= watch.threshold) {
    watch.held.delete(ext.v);
    return armed;
  }
  if (armed || now <= watch.rearmAt) watch.held.delete(ext.v);
  else hold(watch.held, ext.v);
  return false;
}

function hold(held: Set<string>, visitorId: string): void {
  held.delete(visitorId);
  held.add(visitorId);
  if (held.size <= MAX_HELD_VISITORS) return;
  const oldest = held.values().next();
  // Forgetting the oldest can cost one repeated alert, never a missed one.
  if (!oldest.done) held.delete(oldest.value);
}

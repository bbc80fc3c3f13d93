/** Small numeric helpers of the model. Pure. Tests: numeric.test.ts. */

/** 0 ≤ x ≤ 1; anything that is not a number counts as 0. */
export function clamp(x: number): number {
  return x > 0 ? (x < 1 ? x : 1) : 0;
}

/** −1 ≤ x ≤ 1. */
export function clampSigned(x: number): number {
  return x > -1 ? (x < 1 ? x : 1) : -1;
}

/** Bends a sum of weak signals upward: 0 → 0, 1 → 100. `k` > 0. */
export function calibrate(sum: number, k: number): number {
  return (100 * (1 - Math.exp(-k * clamp(sum)))) / (1 - Math.exp(-k));
}

/** Keeps stored fractions at six decimals, so that the state stays small and a faded counter becomes a true zero. */
export function compact(x: number): number {
  return Math.round(x * 1e6) / 1e6;
}

export function round2(x: number): number {
  return Math.round(x * 100) / 100;
}

/** A finite number inside [min, max]; `fallback` when absent. */
export function bounded(x: number | undefined, min: number, max: number, fallback: number): number {
  if (x === undefined || Number.isNaN(x)) return fallback;
  return x < min ? min : x > max ? max : x;
}

export function sum(xs: readonly number[]): number {
  let total = 0;
  for (const x of xs) total += x;
  return total;
}

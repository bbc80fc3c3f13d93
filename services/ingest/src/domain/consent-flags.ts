/** A consent state as six bits: known and granted, for each category. Pure. Tests: tables.test.ts. */
import type { ConsentState } from "./consent.ts";

const ANALYTICS = 0;
const IDENTITY = 2;
const MARKETING = 4;

export function toFlags(state: ConsentState): number {
  return bits(state.analytics, ANALYTICS) | bits(state.identity, IDENTITY) | bits(state.marketing, MARKETING);
}

export function fromFlags(flags: number): ConsentState {
  const state: ConsentState = {};
  if (flags & (1 << ANALYTICS)) state.analytics = (flags & (2 << ANALYTICS)) !== 0;
  if (flags & (1 << IDENTITY)) state.identity = (flags & (2 << IDENTITY)) !== 0;
  if (flags & (1 << MARKETING)) state.marketing = (flags & (2 << MARKETING)) !== 0;
  return state;
}

/** A later decision replaces the categories it names and leaves the others. */
export function mergeConsent(before: ConsentState | undefined, change: ConsentState): ConsentState {
  return { ...before, ...change };
}

/** True when forgetting this state could make us keep what the visitor refused. */
export function holdsDenial(state: ConsentState): boolean {
  return state.analytics === false || state.identity === false || state.marketing === false;
}

function bits(value: boolean | undefined, shift: number): number {
  return value === undefined ? 0 : (value ? 3 : 1) << shift;
}

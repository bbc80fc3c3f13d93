/**
 * Filters of the Signals Feed: the canonical form a client sees echoed, and the predicate over `ext` lines compiled from it.
 * AND between parameters, OR inside a list. Input forms are in filter-input.ts. Tests: filter.test.ts (naive model).
 */
import {
  type BehavioralClass,
  type BotCategory,
  type DEVICE_TYPES,
  type LabelExt,
  NUMERIC_SCORES,
  type NumericScore,
  type VisitType,
} from "@headwater/protocol";
import { compileGlobs } from "./glob.ts";
import { isSampled } from "./sample.ts";

/** 1 = the contract's default values, 2 = the later edition's scales and vocabularies for the fields that name it. */
export type Dialect = 1 | 2;

export interface FeedFilter {
  eventTypes?: readonly VisitType[];
  classes?: readonly BehavioralClass[];
  isBot?: boolean;
  botCategories?: readonly BotCategory[];
  /** Globs on the path, `*` matches any run of characters. */
  pages?: readonly string[];
  sites?: readonly string[];
  devices?: readonly (typeof DEVICE_TYPES)[number][];
  min?: { readonly [S in NumericScore]?: number };
  max?: { readonly [S in NumericScore]?: number };
  decisionStages?: readonly string[];
  emotionalStates?: readonly string[];
  identified?: boolean;
  crossing?: readonly ThresholdCrossing[];
  /** Share of visitors kept, (0, 1]. */
  sample?: number;
  names?: readonly string[];
}

export interface ThresholdCrossing {
  score: NumericScore;
  threshold: number;
}

/** Factor between a score as the client of a dialect sees it and as `ext` carries it. */
export function scoreScale(score: NumericScore, dialect: Dialect): number {
  return score === "sessionMomentum" && dialect === 2 ? 100 : 1;
}

export type Predicate = (ext: LabelExt) => boolean;

/**
 * Everything of a filter that needs no memory; `crossing` is in crossing.ts.
 * A threshold on a score never matches an unscored event, in either direction.
 */
export function compileFilter(filter: FeedFilter, dialect: Dialect): Predicate {
  const checks: Predicate[] = [];
  const oneOf = <T>(values: readonly T[] | undefined, read: (ext: LabelExt) => T | undefined): void => {
    if (values === undefined) return;
    const set: ReadonlySet<T | undefined> = new Set(values);
    checks.push((ext) => set.has(read(ext)));
  };
  oneOf(filter.eventTypes, (ext) => ext.e);
  oneOf(filter.classes, (ext) => ext.c);
  if (filter.isBot !== undefined) {
    const want = filter.isBot ? 1 : 0;
    checks.push((ext) => ext.b === want);
  }
  oneOf(filter.botCategories, (ext) => ext.bc);
  oneOf(filter.sites, (ext) => ext.s);
  oneOf(filter.devices, (ext) => ext.d);
  oneOf<string>(filter.decisionStages, dialect === 2 ? (ext) => ext.l?.st : (ext) => ext.st);
  oneOf<string>(filter.emotionalStates, dialect === 2 ? (ext) => ext.l?.em : (ext) => ext.em);
  oneOf(filter.names, (ext) => ext.n);
  if (filter.identified !== undefined) {
    const want = filter.identified ? 1 : 0;
    checks.push((ext) => ext.i === want);
  }
  NUMERIC_SCORES.forEach((score, index) => {
    const scale = scoreScale(score, dialect);
    const min = filter.min?.[score];
    const max = filter.max?.[score];
    if (min !== undefined) checks.push((ext) => scoreAt(ext.sc, index) * scale >= min);
    if (max !== undefined) checks.push((ext) => scoreAt(ext.sc, index) * scale <= max);
  });
  if (filter.sample !== undefined) {
    const share = filter.sample;
    checks.push((ext) => isSampled(ext.v, share));
  }
  if (filter.pages !== undefined) {
    const matches = compileGlobs(filter.pages);
    checks.push((ext) => matches(ext.p));
  }
  if (checks.length === 1 && checks[0]) return checks[0];
  return (ext) => {
    for (const check of checks) if (!check(ext)) return false;
    return true;
  };
}

/** NaN fails every comparison, which is what "unscored" must do. */
function scoreAt(scores: readonly number[] | undefined, index: number): number {
  return scores?.[index] ?? Number.NaN;
}

/** JSON form for `hello` and `subscribed`: what the client may send back in `subscribe`. */
export function filterToWire(filter: FeedFilter | null): Record<string, unknown> | null {
  if (filter === null) return null;
  const { crossing, ...rest } = filter;
  return crossing ? { ...rest, crossing: crossing.map((c) => `${c.score}:${c.threshold}`) } : { ...rest };
}

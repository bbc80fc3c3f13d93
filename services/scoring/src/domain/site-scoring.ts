/**
 * Compiled scoring settings of one site: the form the fold uses. Built once per settings version, holds only caches.
 * Tests: site-scoring.test.ts.
 */
import {
  CALIBRATED_SCORES,
  type CalibratedScore,
  DECAYING,
  type Decaying,
  type DEVICE_TYPES,
  NUMERIC_SCORES,
  type NumericScore,
  type ReferralChannel,
  SCORE_SIGNALS,
  type SiteScoringSettings,
} from "@headwater/protocol";
import { RAGE_DEFAULTS, RAGE_IGNORED_TEXTS, SCORING_CONFIG } from "./config.ts";
import { createPageClassifier, type PageClassifier } from "./page-categories.ts";

export interface SiteScoring {
  readonly pages: PageClassifier;
  /** Weights in `SCORE_SIGNALS` order. */
  readonly weights: { readonly [S in NumericScore]: readonly number[] };
  readonly calibration: { readonly [S in CalibratedScore]: number };
  readonly halfLifeSec: { readonly [D in Decaying]: number };
  readonly rage: {
    readonly clicks: number;
    readonly windowMs: number;
    readonly radiusPx: number;
    readonly ignoresText: (text: string) => boolean;
    readonly ignoresSelector: (selector: string) => boolean;
  };
  readonly ignoresDeadClick: (selector: string) => boolean;
  readonly valueReference: number;
  readonly revenueReference: number;
  readonly isCompetitor: (host: string) => boolean;
  readonly referralQuality: (channel: ReferralChannel) => number;
  /** Mean of the configured device and country qualities. */
  readonly deviceGeoQuality: (device: (typeof DEVICE_TYPES)[number], country: string | undefined) => number;
}

const UNKNOWN_QUALITY = 0.5;

export function compileSiteScoring(settings: SiteScoringSettings | undefined): SiteScoring {
  const s = settings ?? {};
  const competitors = new Set((s.competitorHosts ?? []).map((host) => host.toLowerCase()));
  const ignoredTexts = new Set((s.rage?.ignoreTexts ?? RAGE_IGNORED_TEXTS).map(normalText));
  return {
    pages: createPageClassifier(s.pages ?? {}),
    weights: compileWeights(s),
    calibration: pick(CALIBRATED_SCORES, s.calibration, SCORING_CONFIG.calibration),
    halfLifeSec: pick(DECAYING, s.halfLifeSec, SCORING_CONFIG.halfLifeSec),
    rage: {
      clicks: s.rage?.clicks ?? RAGE_DEFAULTS.clicks,
      windowMs: s.rage?.windowMs ?? RAGE_DEFAULTS.windowMs,
      radiusPx: s.rage?.radiusPx ?? RAGE_DEFAULTS.radiusPx,
      ignoresText: (text) => ignoredTexts.has(normalText(text)),
      ignoresSelector: matcherOf(s.rage?.ignoreSelectors ?? []),
    },
    ignoresDeadClick: matcherOf(s.deadClickIgnore ?? []),
    valueReference: s.valueReference ?? 200,
    revenueReference: s.revenueReference ?? 500,
    isCompetitor: (host) => competitors.size > 0 && parentDomains(host.toLowerCase()).some((domain) => competitors.has(domain)),
    referralQuality: (channel) => s.referralQuality?.[channel] ?? UNKNOWN_QUALITY,
    deviceGeoQuality: (device, country) => {
      const known = [s.deviceQuality?.[device], country === undefined ? undefined : s.geoQuality?.[country]].filter((q) => q !== undefined);
      return known.length === 0 ? UNKNOWN_QUALITY : known.reduce((total, q) => total + q, 0) / known.length;
    },
  };
}

function compileWeights(settings: SiteScoringSettings): SiteScoring["weights"] {
  const weights: { [S in NumericScore]?: readonly number[] } = {};
  for (const score of NUMERIC_SCORES) {
    const defaults: Readonly<Record<string, number>> = SCORING_CONFIG.weights[score];
    const overrides: Readonly<Record<string, number | undefined>> = settings.weights?.[score] ?? {};
    weights[score] = SCORE_SIGNALS[score].map((signal) => overrides[signal] ?? defaults[signal] ?? 0);
  }
  return weights as SiteScoring["weights"]; // the loop above visited every score
}

function pick<const K extends string>(
  keys: readonly K[],
  overrides: { readonly [Key in K]?: number | undefined } | undefined,
  defaults: { readonly [Key in K]: number },
): { readonly [Key in K]: number } {
  const merged: { [Key in K]: number } = { ...defaults };
  for (const key of keys) merged[key] = overrides?.[key] ?? defaults[key];
  return merged;
}

function normalText(text: string): string {
  return text.trim().toLowerCase();
}

/** Exact match, or any text where the pattern starts or ends with `*`. Linear, never a regular expression. */
function matcherOf(patterns: readonly string[]): (text: string) => boolean {
  if (patterns.length === 0) return () => false;
  const tests = patterns.map((pattern) => {
    const body = pattern.replace(/^\*|\*$/g, "");
    const isOpenStart = pattern.startsWith("*");
    const isOpenEnd = pattern.endsWith("*");
    if (isOpenStart && isOpenEnd) return (text: string) => text.includes(body);
    if (isOpenStart) return (text: string) => text.endsWith(body);
    if (isOpenEnd) return (text: string) => text.startsWith(body);
    return (text: string) => text === body;
  });
  return (text) => tests.some((test) => test(text));
}

function parentDomains(host: string): string[] {
  const labels = host.split(".");
  return labels.map((_, i) => labels.slice(i).join("."));
}

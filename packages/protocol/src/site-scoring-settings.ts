/**
 * What a site may override in the scoring model. Everything is optional; an absent key means the documented default.
 * Page rules are path segments and prefixes, not regular expressions: a tenant's pattern runs inside the fold and must be linear.
 * Tests: services/scoring/src/domain/site-scoring.test.ts.
 */
import { z } from "zod";
import { DEVICE_TYPES } from "./labeled-event.ts";
import { CALIBRATED_SCORES, DECAYING, PAGE_CATEGORIES, REFERRAL_CHANNELS, SCORE_SIGNALS } from "./score-signals.ts";

const quality = z.number().min(0).max(1);
const weight = z.number().min(-1).max(1);
const patterns = z.array(z.string().min(1).max(128)).max(64);
const weightsOf = <const T extends readonly string[]>(signals: T) => z.partialRecord(z.enum(signals), weight).optional();

export const SiteScoringSettings = z
  .object({
    /**
     * Category → rules that replace its default list. `pricing` matches that path segment anywhere; a rule that starts with `/`
     * is a path prefix in which a `*` segment stands for any one segment. Case is ignored.
     */
    pages: z.partialRecord(z.enum(PAGE_CATEGORIES), patterns).optional(),
    rage: z
      .object({
        /** Clicks that make a burst. */
        clicks: z.number().int().min(2).max(20).optional(),
        /** Longest time between two clicks of a burst, ms. */
        windowMs: z.number().min(50).max(10_000).optional(),
        /** Largest distance between two clicks of a burst, CSS px. */
        radiusPx: z.number().min(0).max(1_000).optional(),
        /** Selectors never counted; `*` at either end matches any text. */
        ignoreSelectors: patterns.optional(),
        /** Element texts never counted (replaces the default list), compared without case and outer space. */
        ignoreTexts: patterns.optional(),
      })
      .strict()
      .optional(),
    /** Selectors (`label` of `_dead_click`) never counted as dead clicks; `*` as above. */
    deadClickIgnore: patterns.optional(),
    /** Cart value that counts as a full basket, site currency. */
    valueReference: z.number().positive().optional(),
    /** Past revenue of a visitor that counts as a best customer, site currency. */
    revenueReference: z.number().positive().optional(),
    /** Hosts of competitors; subdomains included. */
    competitorHosts: z.array(z.string().min(1).max(253)).max(256).optional(),
    referralQuality: z.partialRecord(z.enum(REFERRAL_CHANNELS), quality).optional(),
    deviceQuality: z.partialRecord(z.enum(DEVICE_TYPES), quality).optional(),
    /** Country code (ISO 3166-1 alpha-2, upper case) → quality. */
    geoQuality: z.record(z.string().length(2), quality).optional(),
    weights: z
      .object({
        intent: weightsOf(SCORE_SIGNALS.intent),
        frustration: weightsOf(SCORE_SIGNALS.frustration),
        engagement: weightsOf(SCORE_SIGNALS.engagement),
        value: weightsOf(SCORE_SIGNALS.value),
        churn: weightsOf(SCORE_SIGNALS.churn),
        abandonment: weightsOf(SCORE_SIGNALS.abandonment),
        conversionReadiness: weightsOf(SCORE_SIGNALS.conversionReadiness),
        sessionMomentum: weightsOf(SCORE_SIGNALS.sessionMomentum),
        confusion: weightsOf(SCORE_SIGNALS.confusion),
      })
      .strict()
      .optional(),
    calibration: z.partialRecord(z.enum(CALIBRATED_SCORES), z.number().min(0.1).max(10)).optional(),
    halfLifeSec: z.partialRecord(z.enum(DECAYING), z.number().min(1).max(86_400)).optional(),
  })
  .strict();
export type SiteScoringSettings = z.infer<typeof SiteScoringSettings>;

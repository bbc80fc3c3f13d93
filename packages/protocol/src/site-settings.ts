/** Settings of a site: what its tenant may configure about collection, privacy, scoring and the feed. All optional, defaults are the documented ones. */
import { z } from "zod";
import { SiteScoringSettings } from "./site-scoring-settings.ts";

export const PRIVACY_PRESETS = ["standard", "gdpr_strict", "ccpa", "hipaa", "cpra"] as const;
export type PrivacyPreset = (typeof PRIVACY_PRESETS)[number];

export const SiteSettings = z
  .object({
    preset: z.enum(PRIVACY_PRESETS).default("standard"),
    /** `standard` preset only: honour GPC when the event's consent says so. */
    honourGpc: z.boolean().default(false),
    /** Overrides the preset's scrub level. */
    scrub: z.enum(["standard", "aggressive"]).optional(),
    /** Query keys kept in stored URLs besides `utm_*` and click ids. */
    allowedQueryKeys: z.array(z.string().max(64)).max(64).default([]),
    /** Path prefixes whose events are not collected at all. */
    excludedPathPrefixes: z.array(z.string().max(256)).max(64).default([]),
    /** A present Origin/Referer is always checked for browser keys; with this an absent one is refused too. */
    requireOrigin: z.boolean().default(false),
    /** Hosts that may receive events, when the collector demands registered hosts. */
    trackingHosts: z.array(z.string().max(253)).max(64).default([]),
    /** Custom event names → names the model knows. */
    aliases: z.record(z.string().max(128), z.string().max(128)).default({}),
    feed: z
      .object({ allowBrowserKeys: z.boolean().default(true) })
      .strict()
      .prefault({}),
    scoring: SiteScoringSettings.optional(),
  })
  .strict();
export type SiteSettings = z.infer<typeof SiteSettings>;

/** `GET /v1/consent/config`: what a page's SDK has to know about the site's privacy preset. Pure. Tests: privacy.int.test.ts. */
import type { SiteRecord } from "@headwater/protocol";
import { PRESETS } from "./consent.ts";
import { scrubLevelOf } from "./visit.ts";

export function consentConfig(site: SiteRecord): Record<string, unknown> {
  const { preset, honourGpc } = site.settings;
  const rules = PRESETS[preset];
  return {
    siteId: site.id,
    preset,
    mode: rules.mode === "opt_in" ? "opt-in" : "opt-out",
    scrub: scrubLevelOf(site),
    honoursGpc: rules.honoursGpc || honourGpc,
    honoursDnt: rules.honoursDnt,
    defaults: { analytics: rules.mode === "opt_out", identity: rules.identityDefault === "allowed", marketing: false },
    consentCookie: { name: "_cs_consent", maxAgeSeconds: 365 * 86_400 },
    excludedPathPrefixes: site.settings.excludedPathPrefixes,
  };
}

/**
 * Scoring settings of the sites as they were at a registry position: replay uses the settings of its time, never today's.
 * Compiled settings are cached per version of the site's record. Tests: site-configs.test.ts.
 */
import { type RegistryRecord, SiteRecord } from "@headwater/protocol";
import { compileSiteScoring, type SiteScoring } from "../domain/index.ts";

/** The part of the registry view this needs. */
export interface SiteRegistry {
  getAt(aggregate: "site", id: string, reg: number): RegistryRecord | undefined;
}

export interface SiteConfigs {
  /** Never throws: a site nobody registered has the documented defaults. */
  of(siteId: string): SiteScoring;
}

const MAX_COMPILED = 4_096;

export function createSiteConfigs(registry: SiteRegistry): { at(reg: number): SiteConfigs } {
  const defaults = compileSiteScoring(undefined);
  // Keyed by the record object: the view keeps one object per version.
  let compiled = new Map<RegistryRecord, SiteScoring>();
  return {
    at: (reg) => ({
      of(siteId) {
        const record = registry.getAt("site", siteId, reg);
        if (!record || record.data === null) return defaults;
        const known = compiled.get(record);
        if (known) return known;
        const site = SiteRecord.safeParse(record.data);
        const scoring = site.success ? compileSiteScoring(site.data.settings.scoring) : defaults;
        if (compiled.size >= MAX_COMPILED) compiled = new Map();
        compiled.set(record, scoring);
        return scoring;
      },
    }),
  };
}

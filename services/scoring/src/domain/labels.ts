/** Labels derived from a verdict or a score for `include=labels`. Tests: labels.test.ts. */
import type { BotCategory, LABEL_LANES } from "@headwater/protocol";

type CoverageLane = (typeof LABEL_LANES)[number];

const LANE_OF: { readonly [C in BotCategory]: CoverageLane } = {
  search_crawler: "ai_search_coverage",
  ai_agent: "ai_search_coverage",
  seo_tool: "ai_search_coverage",
  social_preview: "preview_accessibility",
  monitoring: "monitoring_site_health",
  kiosk: "monitoring_site_health",
  scraper: "review_security",
  scanner: "review_security",
  unknown_bot: "review_security",
  stealth_bot: "review_security",
  automation: "automation_qa",
};

/** Who should look at traffic of this category; null for traffic without one. */
export function coverageLaneOf(category: BotCategory | undefined): CoverageLane | null {
  return category === undefined ? null : LANE_OF[category];
}

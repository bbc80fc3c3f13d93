import { BOT_CATEGORIES } from "@headwater/protocol";
import { expect, it } from "vitest";
import { coverageLaneOf } from "./labels.ts";

it("gives every category a coverage lane, and people none", () => {
  expect(BOT_CATEGORIES.map(coverageLaneOf)).not.toContain(null);
  expect(coverageLaneOf("ai_agent")).toBe("ai_search_coverage");
  expect(coverageLaneOf("kiosk")).toBe("monitoring_site_health");
  expect(coverageLaneOf(undefined)).toBeNull();
});

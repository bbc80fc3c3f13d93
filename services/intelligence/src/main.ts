/** Runs the intelligence service alone. */
import { runService } from "@headwater/runtime";
import { parseIntelligenceConfig } from "./config.ts";
import { startIntelligence } from "./service.ts";

await runService({
  name: "intelligence",
  env: process.env,
  parseConfig: parseIntelligenceConfig,
  start: startIntelligence,
  // Analyses can wait, messages on their way to a subscriber cannot.
  givesWay: true,
});

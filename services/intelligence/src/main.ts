/** Runs the intelligence service alone. */
import os from "node:os";
import { runService } from "@headwater/runtime";
import { parseIntelligenceConfig } from "./config.ts";
import { startIntelligence } from "./service.ts";

// Analyses can wait, messages on their way to a subscriber cannot: when processors are short, the other services of this machine go first.
try {
  os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL);
} catch (error) {
  process.emitWarning(`keeps its priority: ${String(error)}`);
}
await runService({ name: "intelligence", env: process.env, parseConfig: parseIntelligenceConfig, start: startIntelligence });

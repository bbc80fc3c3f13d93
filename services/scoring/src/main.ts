/** Runs the scoring service alone. */
import { runService } from "@headwater/runtime";
import { parseScoringConfig } from "./config.ts";
import { startScoring } from "./service.ts";

await runService({ name: "scoring", env: process.env, parseConfig: parseScoringConfig, start: startScoring });

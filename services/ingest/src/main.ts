/** Runs the ingest service alone. */
import { runService } from "@headwater/runtime";
import { parseIngestConfig } from "./config.ts";
import { startIngest } from "./service.ts";

await runService({ name: "ingest", env: process.env, parseConfig: parseIngestConfig, start: startIngest });

/** Runs the routing service alone. */
import { runService } from "@headwater/runtime";
import { parseRoutingConfig } from "./config.ts";
import { startRouting } from "./service.ts";

await runService({ name: "routing", env: process.env, parseConfig: parseRoutingConfig, start: startRouting });

/** Runs the edge alone. */
import { runService } from "@headwater/runtime";
import { parseEdgeConfig } from "./config.ts";
import { startEdge } from "./service.ts";

await runService({ name: "edge", env: process.env, parseConfig: parseEdgeConfig, start: startEdge });

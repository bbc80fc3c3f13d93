/** Runs the auth service alone. */
import { runService } from "@headwater/runtime";
import { parseAuthConfig } from "./config.ts";
import { startAuth } from "./service.ts";

await runService({ name: "auth", env: process.env, parseConfig: parseAuthConfig, start: startAuth });

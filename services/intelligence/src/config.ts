/** Settings of the intelligence service, from the environment. Tests: config.test.ts. */
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

export const IntelligenceEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
});
export interface IntelligenceConfig {
  natsConnectTimeoutMs: number;
}

export function parseIntelligenceConfig(env: Env): IntelligenceConfig {
  return { natsConnectTimeoutMs: parseEnv(IntelligenceEnv, env).NATS_CONNECT_TIMEOUT_MS };
}

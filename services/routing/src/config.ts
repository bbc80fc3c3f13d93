/** Settings of the routing service, from the environment. Tests: config.test.ts. */
import { type Env, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

export const RoutingEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
});
export interface RoutingConfig {
  natsConnectTimeoutMs: number;
}

export function parseRoutingConfig(env: Env): RoutingConfig {
  return { natsConnectTimeoutMs: parseEnv(RoutingEnv, env).NATS_CONNECT_TIMEOUT_MS };
}

import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseIntelligenceConfig } from "./config.ts";

it("has defaults, reads its variable and names a bad one", () => {
  expect(parseIntelligenceConfig({})).toEqual({ natsConnectTimeoutMs: 30_000 });
  expect(parseIntelligenceConfig({ NATS_CONNECT_TIMEOUT_MS: "500" })).toEqual({ natsConnectTimeoutMs: 500 });
  expect(() => parseIntelligenceConfig({ NATS_CONNECT_TIMEOUT_MS: "soon" })).toThrow(ConfigError);
});

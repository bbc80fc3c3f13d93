import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseRoutingConfig } from "./config.ts";

it("has defaults, reads its variable and names a bad one", () => {
  expect(parseRoutingConfig({})).toEqual({ natsConnectTimeoutMs: 30_000 });
  expect(parseRoutingConfig({ NATS_CONNECT_TIMEOUT_MS: "500" })).toEqual({ natsConnectTimeoutMs: 500 });
  expect(() => parseRoutingConfig({ NATS_CONNECT_TIMEOUT_MS: "soon" })).toThrow(ConfigError);
});

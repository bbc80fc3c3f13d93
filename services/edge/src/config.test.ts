import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { EdgeEnv, parseEdgeConfig } from "./config.ts";

it("has the documented defaults", () => {
  expect(parseEdgeConfig({})).toMatchObject({
    FEED_HEARTBEAT_MS: 30_000,
    FEED_IDLE_TIMEOUT_MS: 90_000,
    FEED_DURATION_WARNING_MS: 10_000,
    FEED_MAX_MESSAGE_BYTES: 16_384,
    FEED_MAX_MESSAGES_PER_SECOND: 20,
    EDGE_MAX_BUFFERED_BYTES: 4_194_304,
    EDGE_NO_PROGRESS_MS: 5_000,
    EDGE_QUEUE_BUDGET_BYTES: 268_435_456,
    EDGE_RING_BYTES: 67_108_864,
    CORS_ORIGIN: ["http://localhost:7200"],
    WS_REGISTERED_ACCESS: "public",
    WS_MAX_MESSAGE_BYTES: 262_144,
    WS_MAX_MESSAGES_PER_SECOND: 50,
    WS_MESSAGE_BURST: 100,
    WS_PING_MS: 30_000,
    WS_MAX_FULL_MS: 10_000,
  });
});

it("reads values and names every bad one at once", () => {
  expect(parseEdgeConfig({ TRUSTED_PROXIES: "10.0.0.1, 10.1.0.0/16", FEED_HEARTBEAT_MS: "" })).toMatchObject({
    TRUSTED_PROXIES: ["10.0.0.1", "10.1.0.0/16"],
    FEED_HEARTBEAT_MS: 30_000,
  });
  const parse = () => parseEdgeConfig({ FEED_HEARTBEAT_MS: "soon", EDGE_RING_BYTES: "-1" });
  expect(parse).toThrow(ConfigError);
  expect(parse).toThrow(/FEED_HEARTBEAT_MS[\s\S]*EDGE_RING_BYTES/);
});

it("documents every variable", () => {
  for (const [name, schema] of Object.entries(EdgeEnv.shape)) expect(schema.description, name).toBeTruthy();
});

import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseRoutingConfig } from "./config.ts";

it("has defaults, reads its variables and names a bad one", () => {
  expect(parseRoutingConfig({})).toMatchObject({
    natsConnectTimeoutMs: 30_000,
    natsReplicas: 1,
    databasePoolSize: 4,
    maxTopicsPerFeed: 1_000,
    stateBytes: 268_435_456,
    snapshotIntervalMs: 10_000,
    lastActiveFlushMs: 10_000,
    api: { CORS_ORIGIN: ["http://localhost:7200"], REQUEST_TIMEOUT_MS: 15_000 },
  });
  const given = parseRoutingConfig({
    NATS_CONNECT_TIMEOUT_MS: "500",
    NATS_REPLICAS: "3",
    DATABASE_POOL_SIZE: "9",
    MAX_TOPICS_PER_FEED: "5",
    ROUTING_STATE_BYTES: "1048576",
    ROUTING_SNAPSHOT_INTERVAL_MS: "200",
    ROUTING_LAST_ACTIVE_FLUSH_MS: "100",
  });
  expect(given).toMatchObject({
    natsConnectTimeoutMs: 500,
    natsReplicas: 3,
    databasePoolSize: 9,
    maxTopicsPerFeed: 5,
    stateBytes: 1_048_576,
    snapshotIntervalMs: 200,
    lastActiveFlushMs: 100,
  });
  expect(() => parseRoutingConfig({ MAX_TOPICS_PER_FEED: "many" })).toThrow(ConfigError);
});

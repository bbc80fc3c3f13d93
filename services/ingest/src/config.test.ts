import { ConfigError } from "@headwater/runtime";
import { describe, expect, it } from "vitest";
import { parseIngestConfig } from "./config.ts";

describe("parseIngestConfig", () => {
  it("has a default for everything and demands registered hosts", () => {
    expect(parseIngestConfig({})).toMatchObject({
      requireRegisteredHost: true,
      trust: { proxies: [], edges: [] },
      messagesPerSecond: 1_500,
      appendDeadlineMs: 5_000,
      erasureTimeoutMs: 5_000,
      upstreamAllowedHosts: [],
      allowPrivateUpstreams: false,
      feedIdleTimeoutMs: 300_000,
    });
  });
  it("reads flags and lists", () => {
    const config = parseIngestConfig({
      COLLECTOR_REQUIRE_REGISTERED_HOST: "false",
      TRUSTED_PROXIES: "10.0.0.0/8, 127.0.0.1/32",
      COLLECTOR_EDGE_PROXIES: "",
      UPSTREAM_ALLOWED_HOSTS: "127.0.0.1:7411, demo.example:443",
      ALLOW_PRIVATE_UPSTREAMS: "true",
    });
    expect(config.upstreamAllowedHosts).toEqual(["127.0.0.1:7411", "demo.example:443"]);
    expect(config.allowPrivateUpstreams).toBe(true);
    expect(config.requireRegisteredHost).toBe(false);
    expect(config.trust.proxies.length).toBe(2);
    expect(config.trust.edges.length).toBe(1);
  });
  it("names every bad variable at once", () => {
    const parse = () => parseIngestConfig({ TRUSTED_PROXIES: "10.0.0.0/99", COLLECTOR_MESSAGES_PER_SECOND: "soon", NATS_REPLICAS: "9" });
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(/TRUSTED_PROXIES: not an address range: 10.0.0.0\/99[\s\S]*|NATS_REPLICAS|COLLECTOR_MESSAGES_PER_SECOND/);
  });
});

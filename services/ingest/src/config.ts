/** Settings of the ingest service, from the environment. Tests: config.test.ts. */
import { type Env, envFlag, envList, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";
import { type AddressRange, parseRange } from "./domain/address.ts";
import { edgeRanges, type ProxyTrust } from "./domain/hops.ts";

const ranges = () =>
  envList().transform((texts, context): AddressRange[] => {
    try {
      return texts.map(parseRange);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : "not a list of addresses" });
      return z.NEVER;
    }
  });

export const IngestEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  COLLECTOR_REQUIRE_REGISTERED_HOST: envFlag()
    .default(true)
    .describe("Accept events only on hosts a tenant registered as tracking hosts; standalone switches it off"),
  TRUSTED_PROXIES: ranges()
    .default([])
    .describe("Addresses or CIDR ranges of proxies whose X-Forwarded-For, -Proto and -Host count, comma-separated"),
  COLLECTOR_EDGE_PROXIES: ranges()
    .default([])
    .describe("Of these, local ones whose X-Edge-* headers count; for proxies on other machines TRUSTED_PROXIES is enough"),
  COLLECTOR_MESSAGES_PER_SECOND: envNumber(50, 100_000)
    .default(1_500)
    .describe("Messages a second to the log above which lanes take turns, so that one disk write serves more events"),
  COLLECTOR_APPEND_DEADLINE_MS: envNumber(100, 60_000)
    .default(5_000)
    .describe("How long an accepted request waits for the log before it is answered 503, ms"),
  COLLECTOR_ERASURE_TIMEOUT_MS: envNumber(100, 60_000)
    .default(5_000)
    .describe("How long an opt-out waits until the erasure is visible before it is answered 503, ms"),
  COLLECTOR_QUEUE_BYTES: envNumber(65_536, 4_294_967_296)
    .default(67_108_864)
    .describe("Bytes that may wait for the log in this instance; above it answers 429"),
  COLLECTOR_LANE_QUEUE_BYTES: envNumber(65_536, 4_294_967_296).default(4_194_304).describe("The same for one lane"),
  COLLECTOR_BODY_BYTES: envNumber(4_194_304, 4_294_967_296)
    .default(134_217_728)
    .describe("Request bodies that may be in memory at once in this instance, bytes; above it answers 503"),
  COLLECTOR_REMEMBERED_IDS: envNumber(1_000, 10_000_000)
    .default(200_000)
    .describe("Event ids remembered to count repeats in answers; the fold remembers longer"),
  COLLECTOR_PRIVACY_ENTRIES: envNumber(1_000, 100_000_000)
    .default(8_000_000)
    .describe("Visitors whose consent and opt-out are kept in memory, about 20 bytes each when used"),
  UPSTREAM_ALLOWED_HOSTS: envList()
    .default([])
    .describe("Exact host:port of upstreams that are allowed whatever they resolve to, comma-separated; for demos and own sources"),
  ALLOW_PRIVATE_UPSTREAMS: envFlag().default(false).describe("Allow upstreams with private, local and other special addresses"),
  FEED_IDLE_TIMEOUT_MS: envNumber(0, 86_400_000)
    .default(300_000)
    .describe("How long a feed without subscription and topics stays connected after its last listener left, ms"),
  FEED_MESSAGES_PER_SECOND: envNumber(50, 100_000)
    .default(500)
    .describe("Messages a second to the log above which lanes of feeds take turns; fewer and bigger ones when many lines come"),
  FEED_QUEUE_BYTES: envNumber(16_777_216, 4_294_967_296)
    .default(67_108_864)
    .describe("Bytes of upstream messages that may wait for the log in this instance; more is dropped and counted"),
  FEED_LANE_QUEUE_BYTES: envNumber(16_777_216, 4_294_967_296)
    .default(16_777_216)
    .describe("The same for one lane; one feed may use half of it"),
});

export interface IngestConfig {
  natsConnectTimeoutMs: number;
  natsReplicas: number;
  requireRegisteredHost: boolean;
  trust: ProxyTrust;
  messagesPerSecond: number;
  appendDeadlineMs: number;
  erasureTimeoutMs: number;
  queueBytes: number;
  laneQueueBytes: number;
  bodyBytes: number;
  rememberedIds: number;
  privacyEntries: number;
  upstreamAllowedHosts: string[];
  allowPrivateUpstreams: boolean;
  feedIdleTimeoutMs: number;
  feedMessagesPerSecond: number;
  feedQueueBytes: number;
  feedLaneQueueBytes: number;
}

/** @throws ConfigError naming every bad variable. */
export function parseIngestConfig(env: Env): IngestConfig {
  const e = parseEnv(IngestEnv, env);
  return {
    natsConnectTimeoutMs: e.NATS_CONNECT_TIMEOUT_MS,
    natsReplicas: e.NATS_REPLICAS,
    requireRegisteredHost: e.COLLECTOR_REQUIRE_REGISTERED_HOST,
    trust: {
      proxies: [...e.TRUSTED_PROXIES, ...e.COLLECTOR_EDGE_PROXIES],
      edges: edgeRanges(e.TRUSTED_PROXIES, e.COLLECTOR_EDGE_PROXIES),
    },
    messagesPerSecond: e.COLLECTOR_MESSAGES_PER_SECOND,
    appendDeadlineMs: e.COLLECTOR_APPEND_DEADLINE_MS,
    erasureTimeoutMs: e.COLLECTOR_ERASURE_TIMEOUT_MS,
    queueBytes: e.COLLECTOR_QUEUE_BYTES,
    laneQueueBytes: e.COLLECTOR_LANE_QUEUE_BYTES,
    bodyBytes: e.COLLECTOR_BODY_BYTES,
    rememberedIds: e.COLLECTOR_REMEMBERED_IDS,
    privacyEntries: e.COLLECTOR_PRIVACY_ENTRIES,
    upstreamAllowedHosts: e.UPSTREAM_ALLOWED_HOSTS,
    allowPrivateUpstreams: e.ALLOW_PRIVATE_UPSTREAMS,
    feedIdleTimeoutMs: e.FEED_IDLE_TIMEOUT_MS,
    feedMessagesPerSecond: e.FEED_MESSAGES_PER_SECOND,
    feedQueueBytes: e.FEED_QUEUE_BYTES,
    feedLaneQueueBytes: e.FEED_LANE_QUEUE_BYTES,
  };
}

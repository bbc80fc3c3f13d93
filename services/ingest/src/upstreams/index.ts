/**
 * Upstream connectors of ingest, put together: directory of feeds, presence, leases, log, guard and requests. Everything here is a consumer of
 * `registry.feed.*` and `presence.*` and the only writer of `feeds.<lane>`. Tests: upstream-lanes.int.test.ts.
 */
import { FeedSecrets, type FeedRecord, LANE_COUNT } from "@headwater/protocol";
import { createLeases } from "@headwater/lanes";
import {
  type GroupCommit,
  type Nats,
  openLeaseBucket,
  type PresenceView,
  type RegistryView,
  type RpcHandler,
  serveLaneRequests,
} from "@headwater/messaging";
import type { Clock, Logger, Sealer } from "@headwater/runtime";
import type { Registry } from "prom-client";
import type { ConnectionSpec, Connector } from "../adapters/upstreams/connector.ts";
import { followFeeds } from "./feed-directory.ts";
import { FeedLog } from "./feed-log.ts";
import { createFeedTester } from "./feed-test.ts";
import { createHttpPoller } from "../adapters/upstreams/http-poller.ts";
import { createOutboundGuard, type OutboundGuard, type ResolveName } from "../adapters/upstreams/outbound-guard.ts";
import { createSocketIoConnector } from "../adapters/upstreams/socketio-connector.ts";
import { UpstreamLanes } from "./upstream-lanes.ts";
import { pushHandlers, upstreamEndpoints } from "./upstream-rpc.ts";
import { UpstreamTelemetry } from "./upstream-telemetry.ts";
import { createWebSocketConnector } from "../adapters/upstreams/websocket-connector.ts";

export interface UpstreamConfig {
  allowedHosts: readonly string[];
  allowPrivate: boolean;
  idleTimeoutMs: number;
  /** Bytes of one feed that may wait for the log. */
  feedQueueBytes: number;
  leaseTtlMs: number;
  renewMs: number;
  selfFenceMs: number;
}

export interface UpstreamDeps {
  nats: Nats;
  registry: RegistryView;
  presence: PresenceView;
  commit: GroupCommit;
  sealer: Sealer;
  metrics: Registry;
  instanceId: string;
  clock: Clock;
  log: Logger;
  leaseBucket: { replicas: number; maxBytes: number };
  /** DNS; replaced by tests. */
  resolve?: ResolveName;
  /** Jitter, in [0, 1); replaced by tests. */
  chance?: () => number;
  /** Another process runs under our id: going on would be wrong. Default: throws outside of any promise. */
  onFatal?: (error: Error) => void;
}

export interface Upstreams {
  /** Endpoints of `svc.ingest`. */
  endpoints: Record<string, RpcHandler>;
  status(): Record<string, unknown>;
  /** Ends all connections, tells their last state, gives the lanes away. */
  stop(): Promise<void>;
}

const MAX_CONCURRENT_TESTS = 8;
const TEST_TIMEOUT_MS = 10_000;

/** Resolves when lanes can be taken; connections follow. */
export async function startUpstreams(config: UpstreamConfig, deps: UpstreamDeps): Promise<Upstreams> {
  const { nats, clock, log } = deps;
  const guard = createOutboundGuard({
    allowedHosts: config.allowedHosts,
    allowPrivate: config.allowPrivate,
    ...(deps.resolve ? { resolve: deps.resolve } : {}),
  });
  const directory = followFeeds(deps.registry, log);
  const telemetry = new UpstreamTelemetry(deps.metrics, {
    feedsByStatus: () => lanes.feedsByStatus(),
    lanes: () => lanes.lanes().length,
    pendingBytes: () => deps.commit.pendingBytes(),
  });
  const feedLog = new FeedLog({
    commit: deps.commit,
    maxPendingBytesPerFeed: config.feedQueueBytes,
    onDropped: (reason, count) => telemetry.dropped(reason, count),
  });
  const connectorOf = (spec: ConnectionSpec): Connector => connectorFor(spec, guard);
  const handlers = pushHandlers({ directory, feedLog, ledgerOf: (feedId) => lanes.ledgerOf(feedId), clock });
  const lanes: UpstreamLanes = new UpstreamLanes({
    directory,
    presence: deps.presence,
    feedLog,
    feed: {
      feedLog,
      connectorOf,
      secretsOf: (record) => secretsOf(record, deps.sealer),
      recordOf: (feedId) => directory.get(feedId),
      ratesOf: (record) => directory.ratesOf(record),
      clock,
      chance: deps.chance ?? Math.random,
      telemetry,
      log,
    },
    idleTimeoutMs: config.idleTimeoutMs,
    clock,
    log,
    serve: (lane) => {
      const serving = serveLaneRequests(nats, "upstreams", lane, handlers, log);
      return () => serving.stop();
    },
  });
  const bucket = await openLeaseBucket(nats, { ...deps.leaseBucket, log });
  const leases = createLeases({
    bucket,
    family: "upstreams",
    laneCount: LANE_COUNT,
    instanceId: deps.instanceId,
    ttlMs: config.leaseTtlMs,
    renewMs: config.renewMs,
    selfFenceMs: config.selfFenceMs,
    clock,
    log,
    onAcquired: (lease) => lanes.acquired(lease),
    onReleaseWanted: (lane) => lanes.releaseWanted(lane),
    onLost: (lane) => lanes.lost(lane),
    onReplaced: () => fatal(new Error(`a newer process runs as ${deps.instanceId}`), deps),
  });
  lanes.leases = leases;
  await leases.start();
  const tester = createFeedTester({ connectorOf, clock, maxConcurrent: MAX_CONCURRENT_TESTS, timeoutMs: TEST_TIMEOUT_MS });
  return {
    endpoints: upstreamEndpoints(guard, tester),
    status: () => ({ lanes: lanes.lanes(), feeds: lanes.feedsByStatus(), ...telemetry.counts(), log: deps.commit.stats() }),
    async stop() {
      await lanes.stop();
      bucket.close();
    },
  };
}

function connectorFor(spec: ConnectionSpec, guard: OutboundGuard): Connector {
  if (spec.connectionType === "http-polling") return createHttpPoller(spec, guard);
  if (spec.connectionType === "socketio") return createSocketIoConnector(spec, guard);
  return createWebSocketConnector(spec, guard);
}

function secretsOf(record: FeedRecord, sealer: Sealer): FeedSecrets {
  if (!record.sealed) return { queryParams: [], headers: [] };
  return FeedSecrets.parse(JSON.parse(sealer.unseal(record.sealed, `feed:${record.id}`)));
}

function fatal(error: Error, deps: UpstreamDeps): void {
  deps.log.fatal({ err: error }, "upstreams.replaced");
  if (deps.onFatal) return deps.onFatal(error);
  setImmediate(() => {
    throw error;
  });
}

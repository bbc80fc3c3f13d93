/**
 * Composition root of routing.
 * Consumes: FEEDS_<lane> (fold), REGISTRY (feeds at a position, tenants, ended sessions), `rpc.feeds.<lane>.*`.
 * Produces: topics.<lane>, registry.feed.<id> through the outbox, dlq.routing.
 * Stores: feeds, subscriptions, categories, secrets in PostgreSQL schema `routing`; lane snapshots in `lanes`. Owns: the stream TOPICS, every feed.
 * Must never: connect to an upstream, deliver to sockets, tell anybody a secret, or anybody but its owner a feed's credentials or that a private feed exists.
 */
import path from "node:path";
import { LANES_MIGRATIONS, LANES_SCHEMA } from "@headwater/lanes";
import {
  announceService,
  bindStreams,
  connectService,
  createCredentialClient,
  createPublisher,
  createSharedLimiter,
  ensureStreams,
  lastMessage,
  type Nats,
  openRegistry,
  readLaneCount,
} from "@headwater/messaging";
import { createOutboxRelay, migrate, openPool, type OutboxRelay } from "@headwater/postgres";
import { BUDGETS, inputStreamName, LANE_COUNT, streamSpecs } from "@headwater/protocol";
import { combineHealth, createSealer, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import type pg from "pg";
import { Gauge, Registry } from "prom-client";
import { autoAnalysisHandler } from "./adapters/auto-analysis.ts";
import { CategoryStore } from "./adapters/category-store.ts";
import { FeedLists } from "./adapters/feed-lists.ts";
import { createFeedVault } from "./adapters/feed-secrets.ts";
import { FeedStore } from "./adapters/feed-store.ts";
import { createTopicsPort, createUpstreamPort } from "./adapters/peers.ts";
import { restateFeeds } from "./adapters/restate.ts";
import { SecretStore } from "./adapters/secret-store.ts";
import { SubscriptionStore } from "./adapters/subscription-store.ts";
import { createSecretVault } from "./adapters/user-secrets.ts";
import type { RoutingConfig } from "./config.ts";
import { composeMarketplace } from "./marketplace.ts";
import { startTopicLanes } from "./topics/index.ts";

const MIGRATIONS = path.resolve(import.meta.dirname, "../migrations");
const FLUSH_WITHIN_MS = 2_000;
const DESCRIPTION = "who gets what: feeds and topics, subscriptions, the marketplace";

export async function startRouting(config: RoutingConfig, deps: Deps): Promise<Service> {
  const { log, clock } = deps;
  if (deps.databaseUrl === undefined) throw new Error("routing needs DATABASE_URL");
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    const kv = { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv };
    await readLaneCount(nats, LANE_COUNT, kv);
    await ensureStreams(
      nats,
      streamSpecs(deps.profile).filter((spec) => spec.owner === "routing"),
      { replicas: config.natsReplicas },
    );
    const inputs = Array.from({ length: LANE_COUNT }, (_, lane) => inputStreamName("feeds", lane));
    await bindStreams(nats, [...inputs, "REGISTRY"], { withinMs: config.natsConnectTimeoutMs });
    const pool = await openPool({ url: deps.databaseUrl, max: config.databasePoolSize, applicationName: deps.instanceId, log });
    stack.defer(() => pool.end());
    await migrate({ pool, schema: "routing", folder: MIGRATIONS });
    await migrate({ pool, schema: LANES_SCHEMA, folder: LANES_MIGRATIONS });

    const registry = await openRegistry(nats, { aggregates: ["tenant", "feed", "session"], log });
    stack.defer(() => registry.stop());
    const relay = relayFacts(nats, pool, deps, stack);
    const storeOptions = { pool, now: () => new Date(clock.now()) };
    const sealer = createSealer(deps.secrets.encryptionKey);
    const vaults = { feeds: createFeedVault(sealer, log), secrets: createSecretVault(sealer, log) };
    const feeds = new FeedStore(storeOptions, vaults);
    const restated = await restateFeeds({ store: feeds, registry, relay });
    if (restated > 0) log.warn({ feeds: restated }, "routing.registry_restated");

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "routing" });
    new Gauge({
      name: "headwater_registry_position",
      help: "REGISTRY sequence this instance has read",
      registers: [metrics],
      collect() {
        this.set(registry.position());
      },
    });
    const topics = await startTopicLanes({
      nats,
      pool,
      registry,
      instanceId: deps.instanceId,
      log,
      clock,
      leaseBucket: kv,
      metrics,
      maxTopicsPerFeed: config.maxTopicsPerFeed,
      options: { hotBytesPerLane: Math.floor(config.stateBytes / LANE_COUNT), snapshotEveryMs: config.snapshotIntervalMs },
    });
    stack.defer(() => topics.stop());

    let isDatabaseUp = true;
    const unwritten = new Map<string, number>();
    const flushLastActive = async (): Promise<void> => {
      for (const [feedId, ts] of topics.takeDirtyFeeds()) unwritten.set(feedId, Math.max(ts, unwritten.get(feedId) ?? 0));
      const batch = new Map(unwritten);
      unwritten.clear();
      try {
        // Also the probe that notices a database that went away or came back.
        if (batch.size === 0) await pool.query("SELECT 1");
        await feeds.touch(batch);
        isDatabaseUp = true;
      } catch (error) {
        isDatabaseUp = false;
        for (const [feedId, ts] of batch) unwritten.set(feedId, Math.max(ts, unwritten.get(feedId) ?? 0));
        log.warn({ err: error }, "routing.last_active_not_written");
      }
    };
    const timer = setInterval(() => void flushLastActive(), config.lastActiveFlushMs);
    stack.defer(async () => {
      clearInterval(timer);
      await flushLastActive();
    });

    const credentials = createCredentialClient(nats, registry, { log, clock });
    stack.defer(() => credentials.stop());
    const limiter = createSharedLimiter(nats, { instanceId: deps.instanceId, clock, log });
    stack.defer(() => limiter.stop());
    const applied = async (): Promise<void> => {
      relay.wake();
      // The caller's next step should see the change everywhere; when the broker is away the outbox keeps it.
      await relay.flush(FLUSH_WITHIN_MS);
    };
    const router = composeMarketplace({
      config: config.api,
      deps,
      ports: {
        feeds,
        lists: new FeedLists(storeOptions),
        subscriptions: new SubscriptionStore(storeOptions),
        categories: new CategoryStore(storeOptions),
        secrets: new SecretStore(storeOptions, vaults),
        upstreams: createUpstreamPort(nats),
        topics: createTopicsPort(nats),
        applied,
        log,
      },
      credentials,
      limiter,
      metrics,
    });
    const status = (): Record<string, unknown> => ({ family: "feeds", lanes: topics.lanes(), registry: registry.position() });
    const micro = announceService(nats, deps, {
      name: "routing",
      description: DESCRIPTION,
      status,
      endpoints: { "auto-analysis": autoAnalysisHandler({ feeds, applied }) },
    });
    stack.defer(() => micro.stop());
    return {
      name: "routing",
      router,
      health: () => {
        const mine = topics.lanes();
        const live = mine.filter((lane) => lane.state === "live").length;
        return combineHealth(
          {
            nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" },
            database: isDatabaseUp ? { ok: true } : { ok: false, detail: "last write failed" },
            lanes: { ok: live === mine.length, detail: `${live}/${mine.length} live` },
          },
          ["database", "lanes"],
        );
      },
      metrics,
      status,
      settled: async (options) => {
        const withinMs = options?.withinMs ?? 10_000;
        if (!(await relay.flush(withinMs))) throw new Error(`the outbox is not empty after ${withinMs} ms`);
        await topics.settled(options);
      },
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

/** Publishes feed records in order; one that somebody else wrote meanwhile is refused by its expected sequence, and looked at again. */
function relayFacts(nats: Nats, pool: pg.Pool, { log }: Pick<Deps, "log">, stack: ResourceStack): OutboxRelay {
  const publisher = createPublisher(nats);
  stack.defer(() => publisher.close());
  const relay = createOutboxRelay({
    pool,
    schema: "routing",
    publish: async (row, later) => {
      const stored = await lastMessage(nats, "REGISTRY", row.subject);
      const id = stored?.header("Nats-Msg-Id");
      if (id !== undefined && (id === row.id || later.includes(id))) return;
      await publisher.publish(row.subject, row.payload, {
        msgId: row.id,
        expectStream: "REGISTRY",
        expectLastSubjectSeq: stored?.seq ?? 0,
      });
    },
    log,
  });
  stack.defer(() => relay.stop());
  return relay;
}

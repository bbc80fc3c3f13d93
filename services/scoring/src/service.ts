/**
 * Composition root of scoring.
 * Consumes: VISITS_<lane> (fold), REGISTRY (site settings at a position). Produces: signals.<lane>, erasures.<lane>, dlq.scoring.
 * Stores: lane snapshots in PostgreSQL schema `lanes`. Owns: the streams SIGNALS and ERASURES, every visitor's state.
 * Must never: read a clock or call anybody inside the fold, or answer a snapshot read of a lane it does not own.
 */
import { LANES_MIGRATIONS, LANES_SCHEMA, refold, startLanes } from "@headwater/lanes";
import {
  announceService,
  bindStreams,
  callLane,
  connectService,
  createCredentialClient,
  ensureStreams,
  openRegistry,
  readLaneCount,
  streamState,
} from "@headwater/messaging";
import { migrate, openPool } from "@headwater/postgres";
import {
  BUDGETS,
  ContextRequest,
  inputStreamName,
  LANE_COUNT,
  laneOf,
  streamSpecs,
  type VisitorContext,
  visitorKey,
} from "@headwater/protocol";
import { combineHealth, type Deps, privacyKeyOf, ResourceStack, type Service } from "@headwater/runtime";
import { openCatalog } from "./adapters/catalog.ts";
import { scoringMetrics } from "./adapters/scoring-metrics.ts";
import { crashAt } from "./adapters/crash-point.ts";
import { createSiteConfigs, type SiteConfigs } from "./adapters/site-configs.ts";
import { type SnapshotAnswer, snapshotRoutes } from "./adapters/snapshot-routes.ts";
import { visitFamily } from "./adapters/visit-family.ts";
import type { ScoringConfig } from "./config.ts";
import { neutralContext, SCORING_VERSION, visitorContext } from "./domain/index.ts";

export async function startScoring(config: ScoringConfig, deps: Deps): Promise<Service> {
  const { log, clock } = deps;
  if (deps.databaseUrl === undefined) throw new Error("scoring needs DATABASE_URL for its snapshots");
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    const kv = { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv };
    await readLaneCount(nats, LANE_COUNT, kv);
    await ensureStreams(
      nats,
      streamSpecs(deps.profile).filter((spec) => spec.owner === "scoring"),
      { replicas: config.natsReplicas },
    );
    const inputs = Array.from({ length: LANE_COUNT }, (_, lane) => inputStreamName("visits", lane));
    await bindStreams(nats, [...inputs, "REGISTRY"], { withinMs: config.natsConnectTimeoutMs });
    const pool = await openPool({ url: deps.databaseUrl, max: config.databasePoolSize, applicationName: deps.instanceId, log });
    stack.defer(() => pool.end());
    await migrate({ pool, schema: LANES_SCHEMA, folder: LANES_MIGRATIONS });
    const registry = await openRegistry(nats, { log });
    stack.defer(() => registry.stop());
    const credentials = createCredentialClient(nats, registry, { log, clock });
    stack.defer(() => credentials.stop());

    const metrics = scoringMetrics();
    const sites = createSiteConfigs(registry);
    const family = visitFamily({
      catalog: openCatalog(),
      erasureKey: (tenantId, visitorId) => privacyKeyOf(deps.secrets.privacyKey, tenantId, visitorId),
      onFolded: (outcome) => metrics.folded(outcome),
    });
    const configAt = (reg: number): SiteConfigs => sites.at(reg);
    const worker = await startLanes(family, {
      nats,
      pool,
      registry,
      configAt,
      instanceId: deps.instanceId,
      log,
      clock,
      leaseBucket: kv,
      options: {
        hotBytesPerLane: Math.floor(config.stateBytes / LANE_COUNT),
        snapshotEveryMs: config.snapshotIntervalMs,
        ...(config.crash === undefined ? {} : { onCrashPoint: crashAt(config.crash) }),
      },
    });
    stack.defer(() => worker.stop());
    metrics.watch(() => worker.lanes());

    worker.handle("context", async (lane, payload): Promise<SnapshotAnswer> => {
      const request = ContextRequest.parse(payload);
      const accepted = await streamState(nats, inputStreamName("visits", lane.lane));
      const behind = await lane.settledAt({ in: accepted.lastSeq }, config.catchUpMs).then(
        () => false,
        () => true,
      );
      const context = await lane.read(visitorKey(request.tenantId, request.visitorId), (known) =>
        known?.visitor === undefined ? null : visitorContext(known.visitor, request.tenantId, request.visitorId, request.sessionId),
      );
      return { context, behind };
    });
    // Is the state what the log says? Hash of the live lane against a fold of its whole log from zero (invariant I4).
    worker.handle("verify", async (lane) => {
      const live = await worker.stateHash(lane.lane);
      const folded = await refold(family, lane.lane, { nats, pool, registry, configAt, log, upTo: live.in });
      return { live, folded, isEqual: live.hash === folded.hash };
    });

    const router = snapshotRoutes({
      verify: (key) => credentials.verify(key),
      read: async (tenantId, visitorId, sessionId) => {
        const lane = laneOf(visitorKey(tenantId, visitorId));
        const request: ContextRequest = { tenantId, visitorId, ...(sessionId === undefined ? {} : { sessionId }) };
        // Answered by our own handler above.
        return (await callLane(nats, "visits", lane, "context", request, {
          deadlineMs: config.readDeadlineMs,
          // A read may be asked twice; an owner answers within the catch-up, so a longer silence means that it is gone.
          attemptMs: config.catchUpMs + 300,
        })) as SnapshotAnswer;
      },
      neutral: (visitorId, nowMs): VisitorContext => neutralContext(visitorId, "", nowMs),
      clock,
      upgradeUrl: config.upgradeUrl,
      onOutcome: (outcome) => metrics.read(outcome),
    });
    const status = (): Record<string, unknown> => ({
      scoringVersion: SCORING_VERSION,
      lanes: worker.lanes(),
      registry: registry.position(),
    });
    const micro = announceService(nats, deps, {
      name: "scoring",
      description: "scores and labels visitor events",
      metadata: { scoringVersion: SCORING_VERSION },
      status,
    });
    stack.defer(() => micro.stop());
    return {
      name: "scoring",
      router,
      health: () => {
        const mine = worker.lanes();
        return combineHealth(
          {
            nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" },
            lanes: {
              ok: mine.every((lane) => lane.state === "live"),
              detail: `${mine.filter((lane) => lane.state === "live").length}/${mine.length} live`,
            },
            snapshots: snapshotHealth(mine, config.snapshotIntervalMs),
          },
          ["lanes", "snapshots"],
        );
      },
      metrics: metrics.registry,
      status,
      settled: (options) => worker.settled(options),
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

/** A snapshot that is many intervals old means PostgreSQL is away: nothing is lost, but a restart will take longer. */
function snapshotHealth(lanes: readonly { snapshotAgeMs: number; events: number }[], intervalMs: number): { ok: boolean; detail: string } {
  const oldest = Math.max(0, ...lanes.filter((lane) => lane.events > 0).map((lane) => lane.snapshotAgeMs));
  return { ok: oldest < Math.max(60_000, intervalMs * 6), detail: `oldest ${Math.round(oldest / 1000)} s` };
}

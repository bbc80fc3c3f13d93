/**
 * Composition root of scoring.
 * Consumes: VISITS_<lane> (fold), REGISTRY (site settings at a position). Produces: signals.<lane>, erasures.<lane>, dlq.scoring.
 * Stores: lane snapshots in PostgreSQL schema `lanes`. Owns: the streams SIGNALS and ERASURES, every visitor's state.
 * Must never: read a clock or call anybody inside the fold, or answer a snapshot read of a lane it does not own.
 */
import { startLanes } from "@headwater/lanes";
import { bindStreams, callLane, createCredentialClient, ensureStreams, openNats, openRegistry, readLaneCount, serveRequests, streamState } from "@headwater/messaging";
import { openPool } from "@headwater/postgres";
import { ContextRequest, inputStreamName, LANE_COUNT, laneOf, streamSpecs, type VisitorContext, visitorKey } from "@headwater/protocol";
import { combineHealth, type Deps, privacyKeyOf, ResourceStack, type Service } from "@headwater/runtime";
import { openCatalog } from "./adapters/catalog.ts";
import { scoringMetrics } from "./adapters/scoring-metrics.ts";
import { createSiteConfigs } from "./adapters/site-configs.ts";
import { type SnapshotAnswer, snapshotRoutes } from "./adapters/snapshot-routes.ts";
import { visitFamily } from "./adapters/visit-family.ts";
import type { ScoringConfig } from "./config.ts";
import { neutralContext, SCORING_VERSION, visitorContext } from "./domain/index.ts";

export async function startScoring(config: ScoringConfig, deps: Deps): Promise<Service> {
  const { log, clock } = deps;
  if (deps.databaseUrl === undefined) throw new Error("scoring needs DATABASE_URL for its snapshots");
  const stack = new ResourceStack();
  try {
    const nats = await openNats({
      url: deps.natsUrl,
      ...(deps.natsUser === "" ? {} : { user: deps.natsUser, password: deps.natsPassword }),
      name: deps.instanceId,
      log,
      clock,
      connectWithinMs: config.natsConnectTimeoutMs,
    });
    stack.defer(() => nats.drain());
    await readLaneCount(nats, LANE_COUNT);
    await ensureStreams(
      nats,
      streamSpecs(deps.profile).filter((spec) => spec.owner === "scoring"),
      { replicas: config.natsReplicas },
    );
    const inputs = Array.from({ length: LANE_COUNT }, (_, lane) => inputStreamName("visits", lane));
    await bindStreams(nats, [...inputs, "REGISTRY"], { withinMs: config.natsConnectTimeoutMs });
    const pool = await openPool({ url: deps.databaseUrl, max: config.databasePoolSize, applicationName: deps.instanceId, log });
    stack.defer(() => pool.end());
    const registry = await openRegistry(nats, { log });
    stack.defer(() => registry.stop());
    const credentials = createCredentialClient(nats, registry, { log, clock });
    stack.defer(() => credentials.stop());

    const metrics = scoringMetrics();
    const sites = createSiteConfigs(registry);
    const worker = await startLanes(
      visitFamily({
        catalog: openCatalog(),
        erasureKey: (tenantId, visitorId) => privacyKeyOf(deps.secrets.privacyKey, tenantId, visitorId),
        onFolded: (outcome) => metrics.folded(outcome),
      }),
      {
        nats,
        pool,
        registry,
        configAt: (reg) => sites.at(reg),
        instanceId: deps.instanceId,
        log,
        clock,
        options: { stateBytes: config.stateBytes, snapshotIntervalMs: config.snapshotIntervalMs, crash: config.crash },
      },
    );
    stack.defer(() => worker.stop());
    metrics.watch(() => worker.lanes());

    worker.handle("context", async (lane, payload): Promise<SnapshotAnswer> => {
      const request = ContextRequest.parse(payload);
      const state = await streamState(nats, inputStreamName("visits", lane.lane));
      const behind = !(await lane.reached(state.lastSeq, config.catchUpMs));
      const context = await lane.read(visitorKey(request.tenantId, request.visitorId), (visitor) =>
        visitor?.kind === "visitor" ? visitorContext(visitor.state, request.tenantId, request.visitorId, request.sessionId) : null,
      );
      return { context, behind };
    });

    const router = snapshotRoutes({
      verify: (key) => credentials.verify(key),
      read: async (tenantId, visitorId, sessionId) => {
        const lane = laneOf(visitorKey(tenantId, visitorId));
        const request: ContextRequest = { tenantId, visitorId, ...(sessionId === undefined ? {} : { sessionId }) };
        // Answered by our own handler above.
        return (await callLane(nats, "visits", lane, "context", request, { deadlineMs: config.readDeadlineMs })) as SnapshotAnswer;
      },
      neutral: (visitorId, nowMs): VisitorContext => neutralContext(visitorId, "", nowMs),
      clock,
      onOutcome: (outcome) => metrics.read(outcome),
    });
    const status = (): Record<string, unknown> => ({ scoringVersion: SCORING_VERSION, lanes: worker.lanes(), registry: registry.position() });
    const micro = serveRequests(nats, {
      name: "scoring",
      version: "0.1.0",
      description: "scores and labels visitor events",
      instanceId: deps.instanceId,
      metadata: { pid: String(process.pid), scoringVersion: SCORING_VERSION },
      statsData: status,
      endpoints: {},
      log,
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
            lanes: { ok: mine.every((lane) => lane.state === "live"), detail: `${mine.filter((lane) => lane.state === "live").length}/${mine.length} live` },
            snapshots: worker.snapshotsHealthy(),
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

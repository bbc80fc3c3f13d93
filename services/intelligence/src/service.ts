/**
 * Composition root of intelligence.
 * Consumes: TOPICS (contexts), ANALYSES (memory after a restart), REGISTRY (feeds, tenants, ended sessions), presence, `llm.call`,
 * `rpc.analyses.<lane>.*`, `svc.auth.usage|session`.
 * Produces: analyses.<lane>. Stores: rows of automatic runs in PostgreSQL schema `intelligence`; contexts are memory, rebuilt from the log.
 * Owns: the stream ANALYSES, LLM providers, manual and automatic analysis, budgets.
 * Must never: score, deliver to sockets, spend tokens nobody pays for, or tell anybody that a private feed exists.
 */
import path from "node:path";
import { createApiShell } from "@headwater/api-http";
import {
  announceService,
  bindStreams,
  connectService,
  createCredentialClient,
  createSharedLimiter,
  ensureStreams,
  openRegistry,
  streamState,
} from "@headwater/messaging";
import { migrate, openPool } from "@headwater/postgres";
import { BUDGETS, LANE_COUNT, streamSpecs } from "@headwater/protocol";
import { combineHealth, type Deps, type HealthReport, ResourceStack, type Service } from "@headwater/runtime";
import { Gauge, Registry } from "prom-client";
import { followFeeds } from "./adapters/feed-directory.ts";
import { openProviders, type ProviderPool } from "./adapters/provider-pool.ts";
import { createUsageClient } from "./adapters/usage-client.ts";
import { createAnalysisWriter, startAuto } from "./auto/index.ts";
import { ManualCalls } from "./calls/manual-calls.ts";
import { serveCalls } from "./calls/serve-calls.ts";
import type { IntelligenceConfig } from "./config.ts";
import { startContexts } from "./contexts/index.ts";
import { FairSlots } from "./domain/fair-slots.ts";
import { llmRoutes } from "./http/llm-routes.ts";
import { Telemetry } from "./telemetry.ts";

const MIGRATIONS = path.resolve(import.meta.dirname, "../migrations");
/** Calls that are being answered may end in this time when the service stops. */
const GRACE_MS = 5_000;
/** Of one automatic analysis. */
const AUTO_TIMEOUT_MS = 30_000;
const DATABASE_PROBE_MS = 10_000;
const SETTLED_POLL_MS = 10;

export async function startIntelligence(config: IntelligenceConfig, deps: Deps): Promise<Service> {
  const { log, clock, instanceId } = deps;
  if (deps.databaseUrl === undefined) throw new Error("intelligence needs DATABASE_URL");
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    const ownStreams = streamSpecs(deps.profile).filter((spec) => spec.owner === "intelligence");
    await ensureStreams(nats, ownStreams, { replicas: config.natsReplicas });
    await bindStreams(nats, ["REGISTRY", "TOPICS"], { withinMs: config.natsConnectTimeoutMs });
    const pool = await openPool({ url: deps.databaseUrl, max: config.databasePoolSize, applicationName: instanceId, log });
    stack.defer(() => pool.end());
    await migrate({ pool, schema: "intelligence", folder: MIGRATIONS });
    const registry = await openRegistry(nats, { aggregates: ["tenant", "feed", "session"], log });
    stack.defer(() => registry.stop());
    const credentials = createCredentialClient(nats, registry, { clock, log });
    stack.defer(() => credentials.stop());
    const limiter = createSharedLimiter(nats, { instanceId, clock, log });
    stack.defer(() => limiter.stop());

    const feeds = followFeeds(registry, log);
    const providers = openProviders(config.llm, { clock, log });
    stack.defer(() => providers.stop());
    const slots = new FairSlots({ size: config.llm.maxConcurrency, perTenant: config.limits.tenantConcurrency });
    const usage = createUsageClient(nats, { clock, log, hardLimit: config.limits.overdraftHardLimit });
    stack.defer(() => usage.stop());

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "intelligence" });
    new Gauge({
      name: "headwater_registry_position",
      help: "REGISTRY sequence this instance has read",
      registers: [metrics],
      collect() {
        this.set(registry.position());
      },
    });
    const telemetry: Telemetry = new Telemetry(metrics, {
      contexts: () => own.stats(),
      slots: () => ({ size: slots.size, free: slots.free(), waiting: slots.waiting() }),
      usageWaiting: () => usage.waiting(),
      runningCalls: () => calls.running(),
      pausedProviders: () => providers.paused(),
    });
    const running = await startContexts({
      nats,
      feeds,
      instanceId,
      clock,
      log,
      leaseBucket: { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv },
      limits: config.contexts,
      openWriter: (ownership, laneCount) => {
        const writer = createAnalysisWriter(nats, { ownership, clock, log, laneCount, registryPosition: () => registry.position() });
        stack.defer(() => writer.stop());
        return writer;
      },
      onRebuilt: ({ lanes, frames, ms }) => {
        telemetry.rebuilt(ms);
        log.info({ lanes, frames, ms: Math.round(ms) }, "contexts.rebuilt");
      },
      onFatal: (error) => {
        log.fatal({ err: error }, "contexts.replaced");
        setImmediate(() => {
          throw error;
        });
      },
    });
    stack.defer(() => running.stop());
    const { own } = running;

    const auto = startAuto({
      nats,
      pool,
      clock,
      log,
      metrics,
      contexts: own,
      memory: own,
      ownership: own,
      feeds,
      slots,
      usage,
      providers,
      writer: running.writer,
      laneCount: LANE_COUNT,
      settings: {
        mode: config.auto.mode,
        maxTopicsPerFeed: config.auto.maxTopicsPerFeed,
        intervalMs: config.llm.queryIntervalMs,
        maxTokens: config.llm.maxTokens,
        temperature: config.llm.temperature,
        timeoutMs: Math.min(AUTO_TIMEOUT_MS, config.llm.timeoutMs),
      },
    });
    stack.defer(() => auto.stop());

    const manual = new ManualCalls({
      feeds,
      providers,
      contexts: running.contexts,
      usage,
      slots,
      limiter,
      settings: {
        maxTokens: config.llm.maxTokens,
        temperature: config.llm.temperature,
        tenantConcurrency: config.limits.tenantConcurrency,
        perMinute: config.limits.perMinute,
        burst: config.limits.burst,
      },
      clock,
      log,
      observe: (call) => telemetry.called(call),
    });
    const shell = createApiShell({
      log,
      clock,
      metrics,
      verifySession: (token) => credentials.verifySession(token),
      limiter,
      config: config.api,
      errorStyle: "llm",
    });
    llmRoutes(shell, { manual, providers });
    const calls = serveCalls({ nats, manual, providers, log });
    stack.defer(() => calls.stop(GRACE_MS));

    let isDatabaseUp = true;
    const probe = async (): Promise<void> => {
      try {
        await pool.query("SELECT 1");
        isDatabaseUp = true;
      } catch (error) {
        isDatabaseUp = false;
        log.warn({ err: error }, "intelligence.database_away");
      }
    };
    const timer = setInterval(() => void probe(), DATABASE_PROBE_MS);
    stack.defer(() => clearInterval(timer));

    const status = (): Record<string, unknown> => ({
      family: "analyses",
      lanes: own.lanes(),
      contexts: own.stats(),
      providers: providers.ids,
      pausedProviders: providers.paused(),
      slots: { size: slots.size, free: slots.free(), waiting: slots.waiting() },
      calls: calls.running(),
      auto: auto.status(),
      registry: registry.position(),
    });
    const micro = announceService(nats, deps, {
      name: "intelligence",
      description: "LLM providers, manual and automatic analysis, budgets",
      status,
    });
    stack.defer(() => micro.stop());
    return {
      name: "intelligence",
      router: shell.router,
      health: () => {
        const mine = own.lanes();
        const live = mine.filter((lane) => lane.state === "live").length;
        return withProviders(
          {
            nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" },
            database: isDatabaseUp ? { ok: true } : { ok: false, detail: "last question failed" },
            contexts: own.isReading() ? { ok: true } : { ok: false, detail: "reading stopped" },
            lanes: { ok: live === mine.length, detail: `${live}/${mine.length} live` },
          },
          providers,
        );
      },
      metrics,
      status,
      settled: async (options) => {
        const deadline = clock.monotonicMs() + (options?.withinMs ?? 10_000);
        await registry.waitFor(registry.position(), options?.withinMs);
        const { lastSeq } = await streamState(nats, "TOPICS");
        while (own.position() < lastSeq || own.lanes().some((lane) => lane.state !== "live")) {
          if (clock.monotonicMs() > deadline) throw new Error(`contexts are at ${own.position()} of ${lastSeq}`);
          await new Promise((resolve) => setTimeout(resolve, SETTLED_POLL_MS));
        }
      },
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

/** `llm` says whether anybody can be asked at all, for the public health check; that nobody can is the operator's choice and no failure. */
function withProviders(checks: HealthReport["checks"], providers: ProviderPool): HealthReport {
  const paused = providers.paused();
  const report = combineHealth(
    {
      ...checks,
      providers: {
        ok: paused.length === 0 || paused.length < providers.ids.length,
        ...(paused.length === 0 ? {} : { detail: `paused: ${paused.join(", ")}` }),
      },
    },
    ["database", "contexts", "lanes", "providers"],
  );
  const llm = providers.ids.length > 0 ? { ok: true } : { ok: false, detail: "no provider is configured" };
  return { status: report.status, checks: { ...report.checks, llm } };
}

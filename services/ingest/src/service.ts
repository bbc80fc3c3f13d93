/**
 * Composition root of ingest.
 * Consumes: HTTP from browsers and backends; upstream feeds; REGISTRY (registered domains, feeds), presence, CONSENTS and ERASURES (what
 * visitors decided).
 * Produces: visits.<lane> (accepted events, opt-out commands), consents.<lane>, feeds.<lane>; owns and ensures these streams.
 * Stores: nothing but bounded memory. Owns: validation, consent, scrubbing, limits, the promise behind `202`; one connection per feed.
 * Must never: acknowledge before the log did, keep a raw e-mail, phone or IP address, log a payload or key, connect to a private address.
 */
import { DEFAULT_OPTIONS } from "@headwater/lanes";
import { BUDGETS, LANE_COUNT, type LanedFamily, type RegistryRecord, streamSpecs, subjects } from "@headwater/protocol";
import {
  announceService,
  bindStreams,
  connectService,
  createCredentialClient,
  createGroupCommit,
  ensureStreams,
  type GroupCommit,
  type GroupCommitOptions,
  type Nats,
  openPresence,
  openReader,
  openRegistry,
  type Reader,
  readLaneCount,
  type ReadMessage,
  type RegistryView,
} from "@headwater/messaging";
import { combineHealth, createSealer, type Deps, type HealthReport, ResourceStack, type Service } from "@headwater/runtime";
import { createEventIds } from "./adapters/event-ids.ts";
import { createEventValidator } from "./adapters/event-validator.ts";
import { Gate } from "./adapters/gate.ts";
import { BodyBudget } from "./adapters/http-body.ts";
import { intakeRoutes } from "./adapters/http-routes.ts";
import { PrivacyIndex, consentRecords, erasureRecords } from "./adapters/privacy-index.ts";
import { createPrivacyStore } from "./adapters/privacy-store.ts";
import { createProcessLimiter } from "./adapters/process-limiter.ts";
import { createRequestGauge } from "./adapters/request-gauge.ts";
import { createVisitLog } from "./adapters/visit-log.ts";
import type { IngestConfig } from "./config.ts";
import { OriginIndex } from "./domain/origin-index.ts";
import { RecentMap } from "./domain/recent-map.ts";
import type { CredentialVerifier, Limiter } from "./ports.ts";
import { Telemetry } from "./telemetry.ts";
import { startUpstreams, type UpstreamDeps, type Upstreams } from "./upstreams/index.ts";

/** Replaced by tests, and by whoever runs ingest with another limiter. */
export interface IngestOverrides {
  credentials?: CredentialVerifier;
  limiter?: Limiter;
  /** Name resolution and jitter of the upstream connectors. */
  upstreams?: Pick<UpstreamDeps, "resolve" | "chance">;
}

const OWN_STREAMS = "ingest";
const VISIT_COMMIT = { maxEvents: 256, maxBytes: 64 * 1024 };
/** Half of what CONSENTS takes per message. */
const CONSENT_COMMIT = { maxEvents: 64, maxBytes: 32 * 1024 };
/**
 * A stored message costs broker and readers together several times what a line costs, so busy feeds share messages: 1,300 a second for 1,000
 * lines a second, 850 for 5,000, 225 for 10,000 and 200 at least.
 */
const FEED_COMMIT = { maxEvents: 256, maxBytes: 64 * 1024, eventPace: { eachMs: 0.085, atMostMs: 4.3 } };

export async function startIngest(config: IngestConfig, deps: Deps, overrides: IngestOverrides = {}): Promise<Service> {
  const stack = new ResourceStack();
  try {
    const { log, clock } = deps;
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    await readLaneCount(nats, LANE_COUNT, { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv });
    const ownStreams = streamSpecs(deps.profile).filter((spec) => spec.owner === OWN_STREAMS);
    await ensureStreams(nats, ownStreams, { replicas: config.natsReplicas });
    await bindStreams(nats, ["REGISTRY", "ERASURES"], { withinMs: config.natsConnectTimeoutMs });

    const registry = await openRegistry(nats, { aggregates: ["tenant", "site", "key", "feed"], log });
    stack.defer(() => registry.stop());
    const origins = followOrigins(registry);
    const credentials = overrides.credentials ?? followCredentials(nats, registry, deps, stack);

    const commit = (family: LanedFamily, size: CommitSize, limits: CommitLimits): GroupCommit => {
      const created = createGroupCommit(nats, {
        ...size,
        ...limits,
        subjectOf: (lane) => subjects.lane(family, lane),
        lanes: LANE_COUNT,
        deadlineMs: config.appendDeadlineMs,
        log,
      });
      stack.defer(() => created.close());
      return created;
    };
    const intake: CommitLimits = {
      messagesPerSecond: config.messagesPerSecond,
      maxQueueBytes: config.queueBytes,
      maxQueueBytesPerLane: config.laneQueueBytes,
    };
    const visitCommit = commit("visits", VISIT_COMMIT, intake);
    const consentCommit = commit("consents", CONSENT_COMMIT, intake);
    const feedCommit = commit("feeds", FEED_COMMIT, {
      messagesPerSecond: config.feedMessagesPerSecond,
      maxQueueBytes: config.feedQueueBytes,
      maxQueueBytesPerLane: config.feedLaneQueueBytes,
    });

    const problems = new Map<string, string>();
    const index = new PrivacyIndex({
      secret: deps.secrets.privacyKey,
      maxEntries: config.privacyEntries,
      onFull: (table) => {
        if (!problems.has(table)) log.error({ table, entries: config.privacyEntries }, "privacy_index.full");
        problems.set(table, "a decision of a visitor found no room: raise COLLECTOR_PRIVACY_ENTRIES");
      },
    });
    const requests = createRequestGauge();
    const telemetry = new Telemetry({
      pendingBytes: () => visitCommit.pendingBytes() + consentCommit.pendingBytes(),
      inFlight: () => requests.count(),
      privacyEntries: () => index.sizes(),
      registryPosition: () => registry.position(),
    });
    const follow = (stream: string, onMessage: (message: ReadMessage) => void): Reader => {
      const reader = openReader(nats, {
        stream,
        from: "all",
        onMessage,
        onGap: (gap) => {
          log.error({ stream, ...gap }, "privacy_index.gap");
          problems.set(stream, "records are missing from the log");
        },
        onError: (error) => {
          log.error({ err: error, stream }, "privacy_index.reader_stopped");
          problems.set(stream, "reading stopped");
        },
        log,
      });
      stack.defer(() => reader.stop());
      return reader;
    };
    const skipped = (): void => telemetry.privacyRecordSkipped();
    const readers = [
      follow("CONSENTS", (msg) => {
        for (const record of consentRecords(msg.data, skipped)) index.applyConsent(record, msg.seq);
      }),
      follow("ERASURES", (msg) => {
        for (const record of erasureRecords(msg.data, skipped)) index.applyErasure(record, msg.seq);
      }),
    ];
    // Nothing is accepted before every earlier refusal of a visitor is known.
    await Promise.all(readers.map((reader) => reader.caughtUp));

    let isDraining = false;
    const visits = createVisitLog(visitCommit);
    const limiter = overrides.limiter ?? createProcessLimiter(clock);
    const newId = createEventIds();
    const privacy = createPrivacyStore({
      index,
      consents: consentCommit,
      visits,
      clock,
      newId,
      erasureTimeoutMs: config.erasureTimeoutMs,
    });
    const gate = new Gate({
      credentials,
      origins,
      trust: config.trust,
      requireRegisteredHost: config.requireRegisteredHost,
      isDraining: () => isDraining,
      telemetry,
    });
    const routes = intakeRoutes(
      {
        gate,
        validate: createEventValidator(),
        privacy,
        limiter,
        log: visits,
        budget: new BodyBudget(config.bodyBytes),
        acknowledged: new RecentMap(config.rememberedIds),
        clock,
        newId,
        telemetry,
      },
      requests,
    );

    const upstreams = await connectUpstreams(
      config,
      deps,
      { nats, registry, commit: feedCommit, metrics: telemetry.registry, stack },
      overrides,
    );
    const status = (): Record<string, unknown> => ({
      lanes: [],
      upstreams: upstreams.status(),
      pendingBytes: visitCommit.pendingBytes() + consentCommit.pendingBytes(),
      inFlightRequests: requests.count(),
      events: telemetry.counts(),
      appends: visitCommit.stats(),
      privacy: index.sizes(),
      registry: registry.position(),
    });
    const micro = announceService(nats, deps, {
      name: "ingest",
      description: "lets the outside world in: collector HTTP, upstream feeds",
      status,
      endpoints: upstreams.endpoints,
    });
    stack.defer(() => micro.stop());
    // First of all closers: requests that are being answered finish while everything they need still works.
    stack.defer(async () => {
      isDraining = true;
      // A client that sends its body byte by byte does not hold the drain up.
      await requests.idle(config.appendDeadlineMs).catch((error: unknown) => log.warn({ err: error }, "ingest.drain_cut"));
    });
    return {
      name: "ingest",
      ...routes,
      health: () => health(nats, problems),
      metrics: telemetry.registry,
      status,
      settled: async (options) => requests.idle(options?.withinMs ?? 10_000),
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

type CommitSize = Pick<GroupCommitOptions, "maxEvents" | "maxBytes" | "eventPace">;
type CommitLimits = Pick<GroupCommitOptions, "messagesPerSecond" | "maxQueueBytes" | "maxQueueBytesPerLane">;

async function connectUpstreams(
  config: IngestConfig,
  deps: Deps,
  parts: { nats: Nats; registry: RegistryView; commit: GroupCommit; metrics: Telemetry["registry"]; stack: ResourceStack },
  overrides: IngestOverrides,
): Promise<Upstreams> {
  const { nats, registry, commit, metrics, stack } = parts;
  const { log, clock, instanceId } = deps;
  const presence = openPresence(nats, { clock, log });
  stack.defer(() => presence.stop());
  const upstreams = await startUpstreams(
    {
      allowedHosts: config.upstreamAllowedHosts,
      allowPrivate: config.allowPrivateUpstreams,
      idleTimeoutMs: config.feedIdleTimeoutMs,
      feedQueueBytes: config.feedLaneQueueBytes / 2,
      leaseTtlMs: DEFAULT_OPTIONS.leaseTtlMs,
      renewMs: DEFAULT_OPTIONS.renewMs,
      selfFenceMs: DEFAULT_OPTIONS.selfFenceMs,
    },
    {
      nats,
      registry,
      presence,
      commit,
      sealer: createSealer(deps.secrets.encryptionKey),
      metrics,
      instanceId,
      clock,
      log,
      leaseBucket: { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv },
      ...overrides.upstreams,
    },
  );
  stack.defer(() => upstreams.stop());
  return upstreams;
}

function health(nats: Nats, problems: ReadonlyMap<string, string>): HealthReport {
  const privacy = [...problems].map(([what, problem]) => `${what}: ${problem}`).join("; ");
  return combineHealth({
    nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" },
    privacy: privacy === "" ? { ok: true } : { ok: false, detail: privacy },
  });
}

function followCredentials(nats: Nats, registry: RegistryView, deps: Deps, stack: ResourceStack): CredentialVerifier {
  const client = createCredentialClient(nats, registry, { clock: deps.clock, log: deps.log });
  stack.defer(() => client.stop());
  return client;
}

/** Keeps the registered domains of all sites and keys. */
function followOrigins(registry: RegistryView): OriginIndex {
  const origins = new OriginIndex();
  const apply = (record: RegistryRecord): void => {
    if (record.aggregate === "site" || record.aggregate === "key") {
      origins.replace(`${record.aggregate}.${record.id}`, domainsOf(record.data));
    }
  };
  for (const record of [...registry.list("site"), ...registry.list("key")]) apply(record);
  registry.onChange(apply);
  return origins;
}

function domainsOf(data: unknown): string[] {
  const domains = typeof data === "object" && data !== null && "domains" in data ? data.domains : undefined;
  return Array.isArray(domains) ? domains.filter((domain) => typeof domain === "string") : [];
}

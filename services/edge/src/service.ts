/**
 * Composition root of the edge.
 * Consumes: SIGNALS, TOPICS and ANALYSES (one ordered reader each, only while a socket wants it), REGISTRY (keys, tenants, sessions, feeds).
 * Produces: presence on core NATS, calls to intelligence, dead letters, SOCKETS (what sockets listen to that named a session; read back too).
 * Stores: nothing; a hot tail of frames in memory. Owns: handshakes, fan-out, cursors, backpressure.
 * Must never: hold a business rule, parse a wire line, open a database connection, wait for one socket before serving another.
 */
import { randomUUID } from "node:crypto";
import {
  announceService,
  bindStreams,
  connectService,
  createCredentialClient,
  createLlmClient,
  createPublisher,
  createSharedLimiter,
  ensureStreams,
  openRegistry,
  publishDeadLetter,
  type SessionVerification,
  type SharedLimiter,
} from "@headwater/messaging";
import { streamSpecs } from "@headwater/protocol";
import { combineHealth, createClientAddress, createClientScheme, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import { Registry } from "prom-client";
import { createProcessLimiter } from "./adapters/connection-limiter.ts";
import { createCursorSeal } from "./adapters/cursor-seal.ts";
import { EdgeServer } from "./adapters/edge-server.ts";
import { type HubOptions, StreamHub } from "./adapters/hub.ts";
import { startPresence, type SurfacePresence } from "./adapters/presence.ts";
import { QueueBudget } from "./adapters/queue-budget.ts";
import { Resumer } from "./adapters/resume.ts";
import { settleHub } from "./adapters/settle.ts";
import { createSocketSessionStore } from "./adapters/socket-session-store.ts";
import { createStreamLog } from "./adapters/stream-log.ts";
import { SweepWheel } from "./adapters/sweep-wheel.ts";
import type { EdgeConfig } from "./config.ts";
import type { Verification } from "./domain/handshake.ts";
import type { LogMessage, StreamLog } from "./ports.ts";
import { createLlmPort } from "./surfaces/feeds/llm-calls.ts";
import { FeedsSurface } from "./surfaces/feeds/surface.ts";
import { SignalsSurface } from "./surfaces/signals/surface.ts";
import { createTelemetry } from "./telemetry.ts";

const SIGNALS_STREAM = "SIGNALS";
const TOPICS_STREAM = "TOPICS";
const ANALYSES_STREAM = "ANALYSES";
/** Part of the process's stop budget that draining sockets may use. */
const DRAIN_SHARE = 0.6;

/** What of an unreadable frame is kept. */
const MAX_LETTER_BYTES = 256 * 1024;

interface LiveStream {
  source: StreamLog;
  hub: StreamHub;
  onDamaged: HubOptions["onDamaged"];
}

interface ResumableStream extends LiveStream {
  resumer: Resumer;
}

export interface EdgeDeps extends Deps {
  /** Replaces the question to auth, in tests. */
  verify?: (key: string) => Promise<Verification>;
  verifySession?: (token: string) => Promise<SessionVerification>;
  /** Replaces the leases of auth, in tests. */
  limiter?: Pick<SharedLimiter, "hold">;
}

export async function startEdge(config: EdgeConfig, deps: EdgeDeps): Promise<Service> {
  const { log, clock } = deps;
  const monotonicMs = (): number => clock.monotonicMs();
  const nowMs = (): number => clock.now();
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.NATS_CONNECT_TIMEOUT_MS);
    stack.defer(() => nats.drain());
    const ownStreams = streamSpecs(deps.profile).filter((spec) => spec.owner === "edge");
    const ensureOwnStreams = () => ensureStreams(nats, ownStreams, { replicas: config.NATS_REPLICAS });
    await ensureOwnStreams();
    await bindStreams(nats, [SIGNALS_STREAM, TOPICS_STREAM, ANALYSES_STREAM, "REGISTRY"], { withinMs: config.NATS_CONNECT_TIMEOUT_MS });
    const registry = await openRegistry(nats, { aggregates: ["tenant", "key", "site", "session", "feed"], log });
    stack.defer(() => registry.stop());
    const credentials = createCredentialClient(nats, registry, { clock, log });
    stack.defer(() => credentials.stop());

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "edge" });
    const telemetry = createTelemetry([metrics], log);
    const publisher = createPublisher(nats);
    const openStream = (stream: string, { ringBytes, warmFrames }: Pick<HubOptions, "ringBytes" | "warmFrames">): LiveStream => {
      const onDamaged = (msg: LogMessage, reason: string): void => {
        telemetry.frameDamaged(stream, msg.seq, reason);
        const letter = { reason, origin: { stream, seq: msg.seq }, data: Buffer.from(msg.data).toString("utf8", 0, MAX_LETTER_BYTES) };
        publishDeadLetter(publisher, "edge", letter).catch((error: unknown) => log.error({ err: error }, "dead_letter.failed"));
      };
      const source = createStreamLog({ nats, stream, monotonicMs, log });
      const options: HubOptions = {
        source,
        ringBytes,
        warmFrames,
        idleMs: config.EDGE_READER_IDLE_MS,
        maxLingerMs: config.EDGE_MAX_LINGER_MS,
        monotonicMs,
        log,
        onDamaged,
      };
      const hub = new StreamHub(options);
      stack.defer(() => hub.stop());
      return { source, hub, onDamaged };
    };
    const withResume = (stream: LiveStream): ResumableStream => {
      const resumer = new Resumer({ ...stream, maxReads: config.EDGE_MAX_REPLAY_READS, log });
      stack.defer(() => resumer.stop());
      return { ...stream, resumer };
    };
    const events = withResume(openStream(SIGNALS_STREAM, { ringBytes: config.EDGE_RING_BYTES, warmFrames: config.EDGE_WARM_FRAMES }));
    // Frames of feeds may have megabytes: nothing is read before somebody listens.
    const topics = withResume(openStream(TOPICS_STREAM, { ringBytes: config.EDGE_RING_BYTES, warmFrames: 0 }));
    // The next answer is seconds away and about everything before it: nobody resumes here.
    const analyses = openStream(ANALYSES_STREAM, { ringBytes: 0, warmFrames: 0 });
    const streams: Readonly<Record<string, LiveStream>> = {
      [SIGNALS_STREAM]: events,
      [TOPICS_STREAM]: topics,
      [ANALYSES_STREAM]: analyses,
    };
    const seal = createCursorSeal(deps.secrets.cursorKey);

    const signals = new SignalsSurface({
      ...events,
      seal,
      limits: {
        maxInboundBytes: config.FEED_MAX_MESSAGE_BYTES,
        inboundPerSecond: config.FEED_MAX_MESSAGES_PER_SECOND,
        maxBufferedBytes: config.EDGE_MAX_BUFFERED_BYTES,
        noProgressMs: config.EDGE_NO_PROGRESS_MS,
        terminateAfterMs: config.EDGE_TERMINATE_AFTER_MS,
        heartbeatMs: config.FEED_HEARTBEAT_MS,
        idleMs: config.FEED_IDLE_TIMEOUT_MS,
        durationWarningMs: config.FEED_DURATION_WARNING_MS,
      },
      verify: deps.verify ?? ((key) => credentials.verify(key)),
      registry,
      limiter: createProcessLimiter(monotonicMs),
      extraSlotMs: config.FEED_EXTRA_SLOT_MS,
      upgradeUrl: config.UPGRADE_URL,
      log,
      newConnectionId: () => `conn_${randomUUID().replaceAll("-", "")}`,
      nowMs,
      monotonicMs,
    });
    stack.defer(() => signals.stop());

    const limiter = createSharedLimiter(nats, { instanceId: deps.instanceId, clock, log });
    stack.defer(() => limiter.stop());
    const feeds = new FeedsSurface({
      ...topics,
      analyses: analyses.hub,
      seal,
      limits: {
        maxInboundBytes: config.WS_MAX_MESSAGE_BYTES,
        inboundPerSecond: config.WS_MAX_MESSAGES_PER_SECOND,
        inboundBurst: config.WS_MESSAGE_BURST,
        maxBufferedBytes: config.WS_MAX_BUFFERED_BYTES,
        maxFullMs: config.WS_MAX_FULL_MS,
        // A pause is no fault here: data is left out when the queue is full, and pings tell who is gone.
        noProgressMs: Number.POSITIVE_INFINITY,
        terminateAfterMs: config.EDGE_TERMINATE_AFTER_MS,
      },
      verify: deps.verify ?? ((key) => credentials.verify(key)),
      verifySession: deps.verifySession ?? ((token) => credentials.verifySession(token)),
      limiter: deps.limiter ?? limiter,
      registry,
      registeredAccess: config.WS_REGISTERED_ACCESS,
      origins: config.CORS_ORIGIN,
      pingMs: config.WS_PING_MS,
      llm: createLlmPort(createLlmClient(nats, { clock, log }), log),
      sessionStore: createSocketSessionStore({
        nats,
        publisher,
        secret: deps.secrets.cursorKey,
        ensureStream: ensureOwnStreams,
      }),
      log,
      clock,
      onPresence: () => presence.changed(),
    });
    stack.defer(() => feeds.stop());

    const budget = new QueueBudget(config.EDGE_QUEUE_BUDGET_BYTES);
    const wheel = new SweepWheel(config.EDGE_SWEEP_MS, monotonicMs);
    stack.defer(() => wheel.stop());
    const presence = startPresence({
      nats,
      edgeId: deps.instanceId,
      nowMs,
      boot: randomUUID(),
      read: () => ({ signals: signalsPresence(signals.socketsByTenant()), feeds: feeds.presence() }),
    });
    stack.defer(() => presence.stop());
    const totals = { framesSent: 0, bytesSent: 0, framesDropped: 0 };
    const server = new EdgeServer({
      surfaces: [signals, feeds],
      budget,
      wheel,
      clock,
      log,
      telemetry,
      totals,
      clientAddress: createClientAddress(config.TRUSTED_PROXIES),
      clientScheme: createClientScheme(config.TRUSTED_PROXIES),
      limits: {
        maxFailedHandshakesPerMinute: config.EDGE_MAX_FAILED_HANDSHAKES_PER_MINUTE,
        maxSocketsPerAddress: config.EDGE_MAX_SOCKETS_PER_ADDRESS,
        maxSockets: config.EDGE_MAX_SOCKETS,
      },
      onChange: () => presence.changed(),
    });
    stack.defer(() => server.drain(Math.min(config.EDGE_DRAIN_SPREAD_MS, config.DRAIN_TIMEOUT_MS * DRAIN_SHARE)));
    const hubFacts = ({ hub }: LiveStream) => ({
      position: hub.position,
      framesRead: hub.framesRead,
      newestFrameMs: hub.newestFrameMs,
      ringBytes: hub.ring.bytes,
    });
    const resumeFacts = ({ resumer }: ResumableStream) => ({ replaying: resumer.replayingCount, reads: resumer.readCount });
    telemetry.observe({
      sockets: () => server.socketsBySurface(),
      queuedBytes: () => budget.totalBytes,
      totals: () => totals,
      hubs: () => Object.fromEntries(Object.entries(streams).map(([name, stream]) => [name, hubFacts(stream)])),
      resumes: () => ({ [SIGNALS_STREAM]: resumeFacts(events), [TOPICS_STREAM]: resumeFacts(topics) }),
    });

    const status = (): Record<string, unknown> => ({
      lanes: [],
      sockets: server.socketsBySurface(),
      tenants: signals.socketsByTenant().size,
      queuedBytes: budget.totalBytes,
      ...totals,
      reading: events.hub.isReading,
      ...hubFacts(events),
      ...resumeFacts(events),
      topics: { reading: topics.hub.isReading, ...hubFacts(topics), ...resumeFacts(topics) },
      analyses: { reading: analyses.hub.isReading, ...hubFacts(analyses) },
      listening: feeds.presence().keys.size,
      registry: registry.position(),
    });
    const micro = announceService(nats, deps, {
      name: "edge",
      description: "WebSocket edge: handshake, fan-out, cursors, backpressure",
      status,
    });
    stack.defer(() => micro.stop());

    return {
      name: "edge",
      router: server.router,
      upgrade: server.upgrade,
      health: () =>
        combineHealth(
          {
            nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected; open sockets wait" },
            ...Object.fromEntries(
              Object.entries(streams).map(([name, { hub }]) => [
                name === SIGNALS_STREAM ? "reader" : `reader_${name.toLowerCase()}`,
                hub.failure === undefined ? { ok: true } : { ok: false, detail: hub.failure },
              ]),
            ),
          },
          ["nats"],
        ),
      metrics,
      status,
      settled: async (options) => {
        for (const { hub, source } of Object.values(streams)) await settleHub(hub, source, registry, options?.withinMs ?? 10_000);
      },
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

function signalsPresence(keys: ReadonlyMap<string, number>): SurfacePresence {
  return { sockets: [...keys.values()].reduce((sum, count) => sum + count, 0), keys };
}

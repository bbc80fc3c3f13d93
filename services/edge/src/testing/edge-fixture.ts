/**
 * A whole edge for integration tests: real nats-server, real HTTP listener, a frame publisher in place of scoring and a table of keys in
 * place of auth. Never imported by product code.
 */
import {
  createPublisher,
  ensureStreams,
  type LlmHandler,
  type Nats,
  openNats,
  type Publisher,
  serveLlmCalls,
  type SessionVerification,
  type SharedLimiter,
} from "@headwater/messaging";
import {
  type Credential,
  type FeedRecord,
  natsPermissions,
  type Plan,
  PLAN_LIMITS,
  type PlanLimits,
  type RegistryAggregate,
  type SessionCredential,
  SiteSettings,
  streamSpecs,
  subjects,
} from "@headwater/protocol";
import { type Clock, listenHttp, type Logger, type Service, systemClock } from "@headwater/runtime";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { type EdgeConfig, parseEdgeConfig } from "../config.ts";
import type { Verification } from "../domain/handshake.ts";
import { startEdge } from "../service.ts";
import { analysisFrame, type AnalysisOutput, type TestOutput, testFrame, type TopicOutput, topicFrame } from "./test-frame.ts";

export interface RunningEdge {
  service: Service;
  port: number;
  /** `ws://127.0.0.1:<port>` */
  url: string;
  /** Resolves when the edge has seen the registry up to here. */
  knows(registrySeq: number): Promise<void>;
  stop(): Promise<void>;
}

export interface EdgeFixture {
  nats: TestNats;
  client: Nats;
  publisher: Publisher;
  keys: Map<string, Verification>;
  sessions: Map<string, SessionVerification>;
  /** Registers a login token that the fake auth knows. @returns id of its session. */
  addSession(
    token: string,
    tenantId: string,
    overrides?: Partial<Omit<SessionCredential, "limits">> & { limits?: Partial<PlanLimits> },
  ): string;
  /** Registers a feed of the tenant and waits until every running edge knows it. */
  addFeed(id: string, tenantId: string, overrides?: Partial<FeedRecord>): Promise<void>;
  removeFeed(id: string): Promise<void>;
  /** One frame of TOPICS. @returns stream sequence. */
  publishTopics(outputs: readonly TopicOutput[], options?: { lane?: number }): Promise<number>;
  /** One frame of ANALYSES. @returns stream sequence. */
  publishAnalyses(outputs: readonly AnalysisOutput[], options?: { lane?: number }): Promise<number>;
  /** Answers questions in place of intelligence, with exactly its permissions, until `stop`. */
  serveLlm(handler: LlmHandler, options?: { aliveMs?: number }): Promise<{ running(): number; stop(): Promise<void>; nats: Nats }>;
  /** Registers a key that the fake auth knows. */
  addKey(
    key: string,
    tenantId: string,
    plan?: Plan,
    overrides?: Partial<Omit<Credential, "limits">> & { limits?: Partial<PlanLimits> },
  ): void;
  startEdge(options?: { config?: Partial<EdgeConfig>; log?: Logger; clock?: Clock; instanceId?: string }): Promise<RunningEdge>;
  /** One frame on one lane; outputs name their tenant. @returns stream sequence. */
  publish(outputs: readonly TestOutput[], options?: { lane?: number; in?: number }): Promise<number>;
  register(aggregate: RegistryAggregate, id: string, data: unknown): Promise<number>;
  stop(): Promise<void>;
}

/** Short times, and a cold ring, so that resuming on a new edge reads the stream. */
export const FAST: Partial<EdgeConfig> = { EDGE_WARM_FRAMES: 0, EDGE_SWEEP_MS: 20, EDGE_READER_IDLE_MS: 0, EDGE_DRAIN_SPREAD_MS: 200 };

export async function startEdgeFixture(options: { signalsMaxBytes?: number } = {}): Promise<EdgeFixture> {
  // The edge gets exactly its own permissions, the test everything.
  const password = "test";
  const nats = await startNats({
    users: [
      { user: "test", password },
      ...(["edge", "intelligence"] as const).map((user) => ({ user, password, permissions: natsPermissions(user) })),
    ],
  });
  const client = await openNats({ url: nats.url, user: "test", password, name: "edge-test", log: quietLogger() });
  const specs = streamSpecs("laptop").filter((spec) => ["SIGNALS", "TOPICS", "ANALYSES", "REGISTRY", "DLQ"].includes(spec.name));
  await ensureStreams(
    client,
    specs.map((spec) => (spec.name === "SIGNALS" && options.signalsMaxBytes ? { ...spec, maxBytes: options.signalsMaxBytes } : spec)),
    { replicas: 1 },
  );
  const publisher = createPublisher(client);
  const keys = new Map<string, Verification>();
  const sessions = new Map<string, SessionVerification>();
  const register = async (aggregate: RegistryAggregate, id: string, data: unknown): Promise<number> => {
    const record = { v: 1, type: `${aggregate}.changed`, aggregate, id, at: "2026-01-01T00:00:00Z", data };
    return (await publisher.publish(subjects.registry(aggregate, id), JSON.stringify(record))).seq;
  };
  const everyoneKnows = async (seq: number): Promise<void> => {
    for (const edge of running) await edge.knows(seq);
  };
  const running = new Set<RunningEdge>();
  let frames = 0;
  return {
    nats,
    client,
    publisher,
    keys,
    sessions,
    addSession(token, tenantId, overrides = {}) {
      const { limits, ...rest } = overrides;
      const session: SessionCredential = {
        sessionId: `sid_${token}`,
        userId: `user_${tenantId}`,
        email: "dev@example.com",
        username: "Dev",
        tenantId,
        tenantSlug: tenantId,
        plan: "free",
        expiresAt: "2999-01-01T00:00:00Z",
        reg: 0,
        ...rest,
        limits: { ...PLAN_LIMITS.free, ...limits },
      };
      sessions.set(token, { ok: true, session });
      return session.sessionId;
    },
    addFeed: async (id, tenantId, overrides = {}) => everyoneKnows(await register("feed", id, testFeed(id, tenantId, overrides))),
    removeFeed: async (id) => everyoneKnows(await register("feed", id, null)),
    async publishTopics(outputs, { lane = 0 } = {}) {
      return (await publisher.publish(subjects.lane("topics", lane), topicFrame(outputs, ++frames))).seq;
    },
    async publishAnalyses(outputs, { lane = 0 } = {}) {
      return (await publisher.publish(subjects.lane("analyses", lane), analysisFrame(outputs, ++frames))).seq;
    },
    async serveLlm(handler, options = {}) {
      const own = await openNats({ url: nats.url, user: "intelligence", password, name: "fake-intelligence", log: quietLogger() });
      const serving = serveLlmCalls(own, handler, { log: quietLogger(), ...options });
      await own.flush();
      return {
        nats: own,
        running: () => serving.running(),
        async stop() {
          await serving.stop();
          await own.drain();
        },
      };
    },
    addKey(key, tenantId, plan = "scale", overrides = {}) {
      const { limits, ...rest } = overrides;
      keys.set(key, {
        ok: true,
        credential: {
          keyId: `id_${key.replace(/\W/g, "_")}`,
          keyType: "server",
          tenantId,
          tenantSlug: tenantId,
          plan,
          scopes: ["signals:read"],
          domains: [],
          sites: [
            { id: "main", tenantId, name: "main", domains: ["*"], settings: SiteSettings.parse({}), createdAt: "2026-01-01T00:00:00Z" },
          ],
          expiresAt: null,
          reg: 0,
          ...rest,
          limits: { ...PLAN_LIMITS[plan], feedConnections: 10_000, ...limits },
        },
      });
    },
    async startEdge({ config = {}, log = quietLogger(), clock = systemClock, instanceId = "edge-0" } = {}) {
      const service = await startEdge(
        { ...parseEdgeConfig({}), ...FAST, ...config },
        {
          log,
          clock,
          natsUrl: nats.url,
          natsUser: "edge",
          natsPassword: password,
          instanceId,
          profile: "laptop",
          secrets: {
            keyPepper: "p".repeat(32),
            cursorKey: "c".repeat(32),
            privacyKey: "v".repeat(32),
            adminToken: "a".repeat(32),
            jwtSecret: "j".repeat(32),
            encryptionKey: "e".repeat(32),
          },
          verify: async (key) => keys.get(key) ?? { ok: false, code: "invalid" },
          verifySession: async (token) => sessions.get(token) ?? { ok: false, code: "invalid" },
          limiter: localHolds(),
        },
      );
      const http = await listenHttp({ services: [service], host: "127.0.0.1", port: 0, log, health: () => service.health() });
      const edge: RunningEdge = {
        service,
        port: http.port,
        url: `ws://127.0.0.1:${http.port}`,
        knows: (seq) => until(`the edge has registry ${seq}`, () => Number(service.status()["registry"]) >= seq),
        async stop() {
          if (!running.delete(edge)) return;
          await service.stop();
          await http.close(100);
        },
      };
      running.add(edge);
      return edge;
    },
    async publish(outputs, { lane = 0, in: inSeq = ++frames } = {}) {
      return (await publisher.publish(subjects.lane("signals", lane), testFrame(outputs, inSeq))).seq;
    },
    register,
    async stop() {
      await Promise.all([...running].map((edge) => edge.stop()));
      await client.drain();
      await nats.stop();
    },
  };
}

/** Slots of this process only, without the leases of auth. */
function localHolds(): Pick<SharedLimiter, "hold"> {
  const held = new Map<string, number>();
  return {
    async hold(key, limit) {
      const current = held.get(key) ?? 0;
      if (current >= limit) return { ok: false, limit, current };
      held.set(key, current + 1);
      return { ok: true, release: () => void held.set(key, (held.get(key) ?? 1) - 1) };
    },
  };
}

export function testFeed(id: string, tenantId: string, overrides: Partial<FeedRecord> = {}): FeedRecord {
  return {
    id,
    tenantId,
    userId: `user_${tenantId}`,
    name: `feed ${id}`,
    eventName: "",
    isPublic: false,
    isActive: true,
    hasSubscriptions: false,
    connectionType: "websocket",
    url: "wss://upstream.example/",
    connectionMessages: [],
    connectionMessageDelayMs: 0,
    reconnectionEnabled: true,
    reconnectionDelay: 1_000,
    reconnectionAttempts: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    enableTopicRouting: false,
    autoAnalysis: false,
    bufferTtlMinutes: 30,
    createdAt: "2026-01-01T00:00:00Z",
    updatedAt: "2026-01-01T00:00:00Z",
    ...overrides,
  };
}

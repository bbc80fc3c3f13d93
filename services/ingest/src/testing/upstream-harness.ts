/** Ingest instances on a real nats-server with local upstreams: feeds go in through the registry, lines are read back from the log. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  decodeFeedLine,
  type FeedLine,
  type FeedRecord,
  type FeedSecrets,
  inputStreamName,
  LANE_COUNT,
  natsPermissions,
  type PresenceDigest,
  streamSpecs,
  subjects,
} from "@headwater/protocol";
import { createPublisher, ensureStreams, type Nats, openNats, openReader, type Publisher } from "@headwater/messaging";
import { createSealer, ResourceStack, type Service, systemClock } from "@headwater/runtime";
import { endWithParent, quietLogger, startNats, startUpstream, type TestNats, until, type UpstreamServer } from "@headwater/testkit";
import { type IngestConfig, parseIngestConfig } from "../config.ts";
import { type IngestOverrides, startIngest } from "../service.ts";

export const ENCRYPTION_KEY = "encryption-key-of-the-tests-0123456789";
export const TENANT = "65f123abc456def7890a1b00";

export type Stored = FeedLine & { seq: number };

export function feedRecord(id: string, change: Partial<FeedRecord> = {}): FeedRecord {
  return {
    id,
    tenantId: TENANT,
    userId: "65f123abc456def7890a1b01",
    name: `feed ${id}`,
    eventName: "message",
    isPublic: false,
    isActive: true,
    hasSubscriptions: true,
    connectionType: "websocket",
    url: "wss://feed.example",
    connectionMessages: [],
    connectionMessageDelayMs: 0,
    reconnectionEnabled: true,
    reconnectionDelay: 50,
    reconnectionAttempts: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    enableTopicRouting: false,
    autoAnalysis: false,
    bufferTtlMinutes: 30,
    createdAt: "2026-01-30T20:13:41.199Z",
    updatedAt: "2026-01-30T20:13:41.199Z",
    ...change,
  };
}

export function sealed(feedId: string, secrets: Partial<FeedSecrets>): Pick<FeedRecord, "sealed"> {
  const whole: FeedSecrets = { queryParams: [], headers: [], ...secrets };
  return { sealed: createSealer(ENCRYPTION_KEY).seal(JSON.stringify(whole), `feed:${feedId}`) };
}

export interface UpstreamHarness {
  nats: TestNats;
  link: Nats;
  upstream: UpstreamServer;
  /** Starts another instance in this process. */
  start(instanceId: string, options?: { config?: Partial<IngestConfig>; overrides?: IngestOverrides }): Promise<Service>;
  /** Starts another instance as a child process. */
  spawn(instanceId: string): Promise<ChildProcess>;
  put(record: FeedRecord): Promise<void>;
  remove(feedId: string): Promise<void>;
  /** Sets limits of the tenant of all feeds. */
  limit(limits: Record<string, number>): Promise<void>;
  /** What an edge would tell: listeners per feed. */
  listen(listeners: Record<string, number>): void;
  /** Every line stored for a feed so far, in order. */
  lines(feedId: string): Stored[];
  /** Bodies of its messages. */
  messages(feedId: string): string[];
  /** Newest state line. */
  state(feedId: string): (Stored & { kind: "state" }) | undefined;
  stop(): Promise<void>;
}

/** The instances run as this user, with the permissions of the product; the test itself may do everything. */
const USER = { user: "ingest", password: "one" };
const TEST_USER = { user: "test", password: "two" };

export async function startUpstreamHarness(options: Parameters<typeof startUpstream>[0] = {}): Promise<UpstreamHarness> {
  const stack = new ResourceStack();
  const log = quietLogger();
  const nats = await startNats({ users: [{ ...USER, permissions: natsPermissions("ingest") }, TEST_USER] });
  stack.defer(() => nats.stop());
  const link = await openNats({ url: nats.url, name: "test", log, ...TEST_USER });
  stack.defer(() => link.drain());
  const specs = streamSpecs("laptop").filter((spec) => spec.owner !== "ingest" || spec.name.startsWith("FEEDS_"));
  await ensureStreams(link, specs, { replicas: 1 });
  const publisher: Publisher = createPublisher(link);
  stack.defer(() => publisher.close());
  const upstream = await startUpstream(options);
  stack.defer(() => upstream.stop());

  const stored = new Map<string, Stored[]>();
  for (let lane = 0; lane < LANE_COUNT; lane++) {
    const reader = openReader(link, {
      stream: inputStreamName("feeds", lane),
      from: "all",
      onMessage: (msg) => {
        for (const text of new TextDecoder().decode(msg.data).split("\n")) {
          const line = { ...decodeFeedLine(text), seq: msg.seq };
          stored.set(line.feedId, [...(stored.get(line.feedId) ?? []), line]);
        }
      },
    });
    stack.defer(() => reader.stop());
  }
  const tell = async (aggregate: "feed" | "tenant", id: string, data: unknown): Promise<void> => {
    const record = { v: 1, type: `${aggregate}.updated`, aggregate, id, at: new Date().toISOString(), data };
    await publisher.publish(subjects.registry(aggregate, id), JSON.stringify(record));
  };
  const limit = (limits: Record<string, number>): Promise<void> =>
    tell("tenant", TENANT, { id: TENANT, slug: "t", name: "t", plan: "free", limits, createdAt: "2026-01-30T20:13:41.199Z" });
  await limit({});
  let round = 0;
  const lines = (feedId: string): Stored[] => stored.get(feedId) ?? [];

  return {
    nats,
    link,
    upstream,
    async start(instanceId, { config = {}, overrides = {} } = {}) {
      const service = await startIngest(
        { ...parseIngestConfig({ UPSTREAM_ALLOWED_HOSTS: upstream.host }), ...config },
        {
          log,
          clock: systemClock,
          natsUrl: nats.url,
          natsUser: USER.user,
          natsPassword: USER.password,
          instanceId,
          profile: "laptop",
          secrets: { keyPepper: "", cursorKey: "", privacyKey: "privacy", adminToken: "", jwtSecret: "", encryptionKey: ENCRYPTION_KEY },
        },
        overrides,
      );
      stack.defer(() => service.stop());
      return service;
    },
    async spawn(instanceId) {
      const file = fileURLToPath(new URL("./ingest-process.ts", import.meta.url));
      const settings = JSON.stringify({
        natsUrl: nats.url,
        ...USER,
        instanceId,
        allowedHost: upstream.host,
        encryptionKey: ENCRYPTION_KEY,
      });
      const child = spawn(process.execPath, [file, settings], { stdio: ["ignore", "pipe", "inherit"] });
      endWithParent(child);
      stack.defer(() => void child.kill("SIGKILL"));
      await new Promise<void>((resolve, reject) => {
        child.stdout.once("data", () => resolve());
        child.once("exit", (code) => reject(new Error(`ingest process ended with ${code}`)));
      });
      return child;
    },
    put: (record) => tell("feed", record.id, record),
    remove: (feedId) => tell("feed", feedId, null),
    limit,
    listen: (listeners) => {
      const keys = Object.fromEntries(Object.entries(listeners).map(([feedId, count]) => [`${feedId}!`, count]));
      const digest: PresenceDigest = {
        v: 1,
        edgeId: "edge-test",
        boot: "b",
        round: ++round,
        part: 0,
        parts: 1,
        at: Date.now(),
        surfaces: { feeds: { sockets: 1, keys } },
      };
      link.core.publish(subjects.presence("edge-test"), JSON.stringify(digest));
    },
    lines,
    messages: (feedId) => lines(feedId).flatMap((line) => (line.kind === "json" ? [line.json] : line.kind === "text" ? [line.text] : [])),
    state: (feedId) =>
      lines(feedId)
        .filter((line): line is Stored & { kind: "state" } => line.kind === "state")
        .at(-1),
    stop: () => stack.close(),
  };
}

/** Waits until the newest state of a feed is this one. */
export async function untilState(h: UpstreamHarness, feedId: string, status: string, withinMs = 10_000): Promise<void> {
  await until(`${feedId} is ${status}`, () => h.state(feedId)?.state.status === status, withinMs);
}

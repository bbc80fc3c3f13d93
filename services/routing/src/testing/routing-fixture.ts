/**
 * Whole routing instances for integration tests: real NATS, PostgreSQL and HTTP; auth and ingest are small answerers of the same subjects.
 * Never imported by product code.
 */
import { randomBytes } from "node:crypto";
import { ensureStreams, type Nats, openNats, openRegistry, type RegistryView, type RpcHandler, serveRequests } from "@headwater/messaging";
import {
  type CheckUrlAnswer,
  FeedRecord,
  limitsOf,
  type PlanLimits,
  type SessionAnswer,
  type SessionCredential,
  streamSpecs,
  type TestFeedAnswer,
  type TestFeedRequest,
} from "@headwater/protocol";
import { type Deps, listenHttp, type Logger, type Service, systemClock } from "@headwater/runtime";
import { createDatabase, quietLogger, startNats, startPostgres, type TestNats, until } from "@headwater/testkit";
import pg from "pg";
import { parseRoutingConfig } from "../config.ts";
import { startRouting } from "../service.ts";

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** JSON of the answer; tests reach into it by name. */
  body: Record<string, unknown>;
}

export interface Caller {
  token: string;
  userId: string;
  tenantId: string;
}

/** What the stand-in of ingest answers; tests change it. */
export interface FakeIngest {
  verdict(url: string): CheckUrlAnswer["verdict"];
  test(request: TestFeedRequest): TestFeedAnswer;
  stop(): void;
  start(): void;
}

export interface RoutingFixture {
  deps: Deps;
  nats: Nats;
  broker: TestNats;
  /** Only without a `databaseUrl`: a server of others is not killed. */
  killDatabase(): void;
  registry: RegistryView;
  services: Service[];
  ingest: FakeIngest;
  caller(name?: string, limits?: Partial<PlanLimits>): Caller;
  call(
    method: string,
    path: string,
    options?: { body?: unknown; as?: Caller; headers?: Record<string, string>; at?: number },
  ): Promise<Answer>;
  /** Makes a feed. @returns its id. */
  feed(as: Caller, more?: Record<string, unknown>): Promise<string>;
  /** The feed's record as all services see it now. */
  record(feedId: string): FeedRecord | undefined;
  /** Records told about a feed so far. */
  told(feedId: string): number;
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  restart(at: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startRoutingFixture(
  options: { instances?: number; env?: Record<string, string>; databaseUrl?: string; log?: Logger } = {},
): Promise<RoutingFixture> {
  const given = options.databaseUrl;
  const [broker, own] = await Promise.all([startNats(), given === undefined ? startPostgres() : undefined]);
  const database = await createDatabase(given ?? own?.url ?? "", "routing");
  const log = options.log ?? quietLogger();
  const secret = (): string => randomBytes(32).toString("hex");
  const deps: Deps = {
    log,
    clock: systemClock,
    natsUrl: broker.url,
    natsUser: "",
    natsPassword: "",
    databaseUrl: database.url,
    instanceId: "routing-0",
    profile: "laptop",
    secrets: {
      keyPepper: secret(),
      cursorKey: secret(),
      privacyKey: secret(),
      adminToken: secret(),
      jwtSecret: secret(),
      encryptionKey: secret(),
    },
  };
  const nats = await openNats({ url: broker.url, name: "test", log });
  // Those of auth and ingest; routing makes its own.
  await ensureStreams(
    nats,
    streamSpecs("laptop").filter(({ owner }) => owner !== "routing"),
    { replicas: 1 },
  );
  const registry = await openRegistry(nats, { log });
  const told = new Map<string, number>();
  registry.onChange(({ id }) => void told.set(id, (told.get(id) ?? 0) + 1));

  const sessions = new Map<string, SessionCredential>();
  const session: RpcHandler = (payload): SessionAnswer => {
    const found = sessions.get((payload as { token: string }).token);
    return found ? { ok: true, session: found } : { ok: false, code: "invalid" };
  };
  const serve = (name: string, endpoints: Record<string, RpcHandler>) =>
    serveRequests(nats, {
      name,
      endpoints,
      version: "0.0.0",
      description: "test",
      instanceId: `${name}-test`,
      metadata: {},
      statsData: () => ({}),
      log,
    });
  const auth = serve("auth", { session });
  let ingestService: { stop(): void } | undefined;
  const ingest: FakeIngest = {
    verdict: () => "ok",
    test: () => ({ ok: true }),
    start() {
      ingestService ??= serve("ingest", {
        "check-url": (payload) => ({ verdict: ingest.verdict((payload as { url: string }).url) }),
        "test-feed": (payload) => ingest.test(payload as TestFeedRequest),
      });
    },
    stop() {
      ingestService?.stop();
      ingestService = undefined;
    },
  };
  ingest.start();

  // Limits per client have tests of their own (packages/api-http); all tests come from one address.
  const config = parseRoutingConfig({
    RATE_LIMIT_PER_SECOND: "100000",
    RATE_LIMIT_BURST: "100000",
    ROUTING_LAST_ACTIVE_FLUSH_MS: "100",
    ...options.env,
  });
  const start = (i: number): Promise<Service> => startRouting(config, { ...deps, instanceId: `routing-${i}` });
  const listen = (service: Service) =>
    listenHttp({ services: [service], host: "127.0.0.1", port: 0, log, health: () => ({ status: "up", checks: {} }) });
  const services = await Promise.all(Array.from({ length: options.instances ?? 1 }, (_, i) => start(i)));
  const listeners = await Promise.all(services.map(listen));
  const client = new pg.Pool({ connectionString: database.url, max: 2 });
  client.on("error", (error) => log.debug({ err: error }, "test.connection_lost"));
  let callers = 0;

  const fixture: RoutingFixture = {
    deps,
    nats,
    broker,
    killDatabase() {
      if (!own) throw new Error("the database server is shared");
      own.kill();
    },
    registry,
    services,
    ingest,
    caller(name = "Dev One", limits = {}) {
      const hex = (++callers).toString(16).padStart(24, "0");
      const token = `${Buffer.from(`{"n":${callers}}`).toString("base64url")}.${hex}.${"s".repeat(20)}`;
      sessions.set(token, {
        sessionId: `s${hex}`.slice(0, 24),
        userId: hex,
        email: "dev@example.com",
        username: name,
        tenantId: `t_${hex}`,
        tenantSlug: `acct-${hex}`,
        plan: "free",
        limits: { ...limitsOf("free"), feeds: 1_000, ...limits },
        expiresAt: new Date(systemClock.now() + 3_600_000).toISOString(),
        reg: registry.position(),
      });
      return { token, userId: hex, tenantId: `t_${hex}` };
    },
    async call(method, path, given = {}) {
      const answer = await fetch(`${listeners[given.at ?? 0]?.url}${path}`, {
        method,
        headers: {
          ...(given.as === undefined ? {} : { Authorization: `Bearer ${given.as.token}` }),
          ...(given.body === undefined ? {} : { "Content-Type": "application/json" }),
          ...given.headers,
        },
        ...(given.body === undefined ? {} : { body: typeof given.body === "string" ? given.body : JSON.stringify(given.body) }),
      });
      const text = await answer.text();
      return {
        status: answer.status,
        headers: answer.headers,
        text,
        body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>),
      };
    },
    async feed(as, more = {}) {
      const made = await fixture.call("POST", "/api/marketplace/feeds", {
        as,
        body: { name: "Feed", url: "wss://feed.example.com/ws", ...more },
      });
      if (made.status !== 201) throw new Error(`feed: ${made.status} ${made.text}`);
      const id = String((made.body["data"] as { _id: unknown })._id);
      await until("the registry has the feed", () => fixture.record(id) !== undefined);
      return id;
    },
    record: (feedId) => {
      const data = registry.get("feed", feedId)?.data;
      return data === undefined || data === null ? undefined : FeedRecord.parse(data);
    },
    told: (feedId) => told.get(feedId) ?? 0,
    sql: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows,
    async restart(at) {
      await listeners[at]?.close(1_000);
      await services[at]?.stop();
      const service = await start(at);
      services[at] = service;
      listeners[at] = await listen(service);
    },
    async stop() {
      ingest.stop();
      auth.stop();
      await registry.stop();
      for (const listener of listeners) await listener.close(1_000);
      for (const service of services) await service.stop();
      await nats.drain();
      await client.end();
      await Promise.all([broker.stop(), own ? own.stop() : database.drop()]);
    },
  };
  return fixture;
}

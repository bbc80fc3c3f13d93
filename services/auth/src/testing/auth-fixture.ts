/**
 * Whole auth instances for integration tests: real NATS, real PostgreSQL, real HTTP, a clock that can be put forward. Never imported by
 * product code.
 */
import { randomBytes } from "node:crypto";
import { callService, type Nats, openNats, openRegistry, type RegistryView } from "@headwater/messaging";
import { type Clock, type Deps, listenHttp, type Logger, type Service, systemClock } from "@headwater/runtime";
import { createDatabase, quietLogger, startNats, startPostgres, type TestNats } from "@headwater/testkit";
import { TOTP } from "otpauth";
import pg from "pg";
import { parseAuthConfig } from "../config.ts";
import { startAuth } from "../service.ts";

export interface Answer {
  status: number;
  headers: Headers;
  /** JSON of the answer; tests reach into it by name. */
  body: Record<string, unknown>;
}

export interface Account {
  email: string;
  password: string;
  token: string;
  userId: string;
}

export interface AuthFixture {
  deps: Deps;
  nats: Nats;
  broker: TestNats;
  /** Only without a `databaseUrl`: a server of others is not killed. */
  killDatabase(): void;
  registry: RegistryView;
  services: Service[];
  /** Shared by the instances; tokens, codes and limits follow it. */
  clock: Clock & { advance(ms: number): void };
  /** `token`: Bearer. `at`: which instance answers. A string body goes out as it is. */
  call(
    method: string,
    path: string,
    options?: { body?: unknown; token?: string; headers?: Record<string, string>; at?: number },
  ): Promise<Answer>;
  register(name?: string): Promise<Account>;
  login(account: Pick<Account, "email" | "password">, totpToken?: string, at?: number): Promise<Answer>;
  session(token: string): Promise<unknown>;
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Every table of the schema as text: what a thief of the database would hold. */
  dump(): Promise<string>;
  totp(secret: string, steps?: number): string;
  stop(): Promise<void>;
}

export async function startAuthFixture(
  options: { instances?: number; env?: Record<string, string>; log?: Logger; databaseUrl?: string; answerWithinMs?: number } = {},
): Promise<AuthFixture> {
  const given = options.databaseUrl;
  const [broker, own] = await Promise.all([startNats(), given === undefined ? startPostgres() : undefined]);
  const database = await createDatabase(given ?? own?.url ?? "", "auth");
  let offset = 0;
  const clock = {
    now: () => systemClock.now() + offset,
    monotonicMs: () => systemClock.monotonicMs(),
    advance: (ms: number) => {
      offset += ms;
    },
  };
  const secret = (): string => randomBytes(32).toString("hex");
  const deps: Deps = {
    log: options.log ?? quietLogger(),
    clock,
    natsUrl: broker.url,
    natsUser: "",
    natsPassword: "",
    databaseUrl: database.url,
    instanceId: "auth-0",
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
  // Limits per client have tests of their own (packages/api-http); all tests come from one address.
  const roomy = Object.fromEntries(
    ["", "_LOGIN", "_AUTH"].flatMap((name) => [
      [`RATE_LIMIT${name}_PER_SECOND`, "100000"],
      [`RATE_LIMIT${name}_BURST`, "100000"],
    ]),
  );
  const config = parseAuthConfig({ ...roomy, AUTH_DEFAULT_DOMAINS: "*", AUTH_LAST_USED_FLUSH_MS: "100", ...options.env });
  const services = await Promise.all(
    Array.from({ length: options.instances ?? 1 }, (_, i) =>
      startAuth(
        config,
        { ...deps, instanceId: `auth-${i}` },
        options.answerWithinMs === undefined ? {} : { answerWithinMs: options.answerWithinMs },
      ),
    ),
  );
  const listeners = await Promise.all(
    services.map((service) =>
      listenHttp({ services: [service], host: "127.0.0.1", port: 0, log: deps.log, health: () => ({ status: "up", checks: {} }) }),
    ),
  );
  const nats = await openNats({ url: broker.url, name: "test", log: deps.log });
  const registry = await openRegistry(nats, { log: deps.log });
  const client = new pg.Pool({ connectionString: database.url, max: 2 });
  client.on("error", (error) => deps.log.debug({ err: error }, "test.connection_lost"));
  let accounts = 0;

  const call: AuthFixture["call"] = async (method, path, given = {}) => {
    const answer = await fetch(`${listeners[given.at ?? 0]?.url}${path}`, {
      method,
      headers: {
        ...(given.token === undefined ? {} : { Authorization: `Bearer ${given.token}` }),
        ...(given.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...given.headers,
      },
      ...(given.body === undefined ? {} : { body: typeof given.body === "string" ? given.body : JSON.stringify(given.body) }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  };

  return {
    deps,
    nats,
    broker,
    killDatabase() {
      if (!own) throw new Error("the database server is shared");
      own.kill();
    },
    registry,
    services,
    clock,
    call,
    async register(name = "Dev One") {
      const account = { email: `dev${++accounts}@example.com`, password: `Password-${accounts}!` };
      const made = await call("POST", "/api/auth/register", { body: { ...account, name } });
      if (made.status !== 201) throw new Error(`register: ${made.status} ${JSON.stringify(made.body)}`);
      return { ...account, token: String(made.body["token"]), userId: String((made.body["user"] as { _id: unknown })._id) };
    },
    login: (account, totpToken, at) =>
      call("POST", "/api/auth/login", {
        body: { email: account.email, password: account.password, ...(totpToken === undefined ? {} : { totpToken }) },
        ...(at === undefined ? {} : { at }),
      }),
    session: (token) => callService(nats, "auth", "session", { token }, { timeoutMs: 2_000 }),
    sql: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows,
    async dump() {
      const tables = await client.query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'auth'");
      const rows = await Promise.all(tables.rows.map(({ name }) => client.query(`SELECT * FROM auth."${name}"`)));
      return JSON.stringify(rows.map((result) => result.rows));
    },
    totp: (key, steps = 0) => new TOTP({ secret: key }).generate({ timestamp: clock.now() + steps * 30_000 }),
    async stop() {
      await registry.stop();
      await nats.drain();
      await client.end();
      for (const listener of listeners) await listener.close(1_000);
      for (const service of services) await service.stop();
      await Promise.all([broker.stop(), own ? own.stop() : database.drop()]);
    },
  };
}

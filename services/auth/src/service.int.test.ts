import { createHash, randomBytes } from "node:crypto";
import { type Credential, PLAN_LIMITS } from "@headwater/protocol";
import { callService, createCredentialClient, type Nats, openNats, openRegistry, type RegistryView } from "@headwater/messaging";
import { type Deps, listenHttp, type Service, systemClock } from "@headwater/runtime";
import { createDatabase, quietLogger, startNats, startPostgres, type TestNats, type TestPostgres, until } from "@headwater/testkit";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAuthConfig } from "./config.ts";
import { startAuth } from "./service.ts";

const adminToken = randomBytes(32).toString("hex");
const secret = (): string => randomBytes(32).toString("hex");
let nats: TestNats;
let postgres: TestPostgres;
let database: { url: string; drop(): Promise<void> };
let deps: Deps;
let services: Service[];
let url: string;
let close: () => Promise<void>;
let watcher: Nats;
let registry: RegistryView;

beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  database = await createDatabase(postgres.url, "auth");
  deps = {
    log: quietLogger(), clock: systemClock, natsUrl: nats.url, natsUser: "", natsPassword: "", databaseUrl: database.url, instanceId: "auth-0",
    profile: "laptop", secrets: { keyPepper: secret(), cursorKey: secret(), privacyKey: secret(), adminToken, jwtSecret: secret(), encryptionKey: secret() },
  }; // biome-ignore format: one literal
  // Two instances start on an empty database at once: the migration must run once.
  services = await Promise.all(
    ["auth-0", "auth-1"].map((instanceId) =>
      startAuth(parseAuthConfig({ AUTH_DEFAULT_DOMAINS: "*", AUTH_LAST_USED_FLUSH_MS: "100" }), { ...deps, instanceId }),
    ),
  );
  const http = await listenHttp({
    services: services.slice(0, 1),
    host: "127.0.0.1",
    port: 0,
    log: deps.log,
    health: () => ({ status: "up", checks: {} }),
  });
  url = http.url;
  close = () => http.close(1_000);
  watcher = await openNats({ url: nats.url, name: "test", log: deps.log });
  registry = await openRegistry(watcher, { log: deps.log });
}, 60_000);

afterAll(async () => {
  await registry?.stop();
  await watcher?.drain();
  await close?.();
  for (const service of services ?? []) await service.stop();
  await Promise.all([nats?.stop(), postgres?.stop()]);
}, 60_000);

async function admin(
  method: string,
  path: string,
  body?: unknown,
  token = adminToken,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}
const digest = (key: string): string => createHash("sha256").update(key).digest("hex");
const verify = async (key: string): Promise<{ ok: boolean; code?: string; credential?: Credential }> =>
  (await callService(watcher, "auth", "verify", { digest: digest(key) }, { timeoutMs: 2_000 })) as { ok: boolean };
/** Asks until both instances agree: any instance may answer. */
const agreed = (
  what: string,
  fits: (answer: { ok: boolean; code?: string; credential?: Credential }) => boolean,
  key: string,
): Promise<void> => until(what, async () => (await Promise.all(Array.from({ length: 12 }, () => verify(key)))).every(fits));

describe("keys", () => {
  it("makes the tenant, its site and a key that every instance verifies", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", plan: "scale", scopes: ["signals:read"], type: "server" });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ tenant: "acme", plan: "scale", type: "server", scopes: ["signals:read"] });
    const key = String(made.body["key"]);
    expect(key).toMatch(/^cs_live_[A-Za-z0-9]{32}$/);
    await agreed("both instances know the key", (answer) => answer.ok, key);
    const { credential } = await verify(key);
    expect(credential).toMatchObject({
      tenantSlug: "acme",
      plan: "scale",
      limits: PLAN_LIMITS.scale,
      sites: [{ name: "main", domains: ["*"] }],
    });
  });

  it("shows the key once: lists, registry and database hold nothing usable", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] });
    const key = String(made.body["key"]);
    const list = await admin("GET", "/admin/v1/keys?tenant=acme");
    expect(JSON.stringify(list.body)).not.toContain(key);
    expect(JSON.stringify(list.body)).not.toContain("lookup");
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const dump =
      JSON.stringify((await client.query("SELECT * FROM auth.keys")).rows) +
      JSON.stringify((await client.query("SELECT * FROM auth.outbox")).rows);
    await client.end();
    expect(dump).not.toContain(key);
    expect(dump).not.toContain(digest(key));
    // What the table holds does not verify as a digest either.
    const stolen = /"lookup":"([0-9a-f]{64})"/.exec(dump)?.[1] ?? "";
    expect(await callService(watcher, "auth", "verify", { digest: stolen }, { timeoutMs: 2_000 })).toEqual({ ok: false, code: "invalid" });
    expect(JSON.stringify(registry.list("key"))).not.toContain("lookup");
  });

  it("revokes by key or id, tells the registry, and answers like for an unknown key", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] });
    const [key, id] = [String(made.body["key"]), String(made.body["id"])];
    await agreed("known", (answer) => answer.ok, key);
    expect((await admin("DELETE", `/admin/v1/keys/${key}`)).status).toBe(200);
    await agreed("revoked everywhere", (answer) => !answer.ok, key);
    expect(await verify(key)).toEqual(await verify("cs_live_" + "x".repeat(32)));
    await until(
      "registry tells",
      () => (registry.get("key", id)?.data as { revokedAt: string | null } | undefined)?.revokedAt?.startsWith("2") === true,
    );
    expect((await admin("DELETE", `/admin/v1/keys/${id}`)).status).toBe(200);
    expect((await admin("DELETE", "/admin/v1/keys/key_nobody")).status).toBe(404);
  });

  it("takes a new key at every instance at once", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "instant", plan: "scale", scopes: ["signals:read"] });
    const answers = await Promise.all(Array.from({ length: 12 }, () => verify(String(made.body["key"]))));
    expect(answers.filter((answer) => !answer.ok)).toEqual([]);
  });

  it("revokes by digest, so that no key has to stand in a URL", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] });
    const revoked = await admin("DELETE", `/admin/v1/keys/${digest(String(made.body["key"]))}`);
    expect([revoked.status, revoked.body["id"]]).toEqual([200, made.body["id"]]);
  });

  it("says expired for an expired key", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"], expiresAt: "2020-01-01T00:00:00Z" });
    await agreed("expired", (answer) => answer.code === "expired", String(made.body["key"]));
  });

  it.each([
    ["ts_live_", /^ts_live_[A-Za-z0-9]{32}_[0-9a-f]{8}$/],
    ["hw_live_", /^hw_live_[A-Za-z0-9]{32}_[0-9a-f]{8}$/],
    ["cs_srv_live", /^cs_srv_live_[A-Za-z0-9]{32}$/],
    ["cs_test_", /^cs_test_[A-Za-z0-9]{32}$/],
  ])("makes keys with prefix %s", async (prefix, shape) => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"], prefix });
    expect(made.body["key"]).toMatch(shape);
  });
});

describe("plans and sites", () => {
  it("changes a plan and a site for live credentials, also in a credential client's cache", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "grow", plan: "free", scopes: ["signals:read"] });
    const key = String(made.body["key"]);
    const client = createCredentialClient(watcher, registry, { clock: systemClock, log: deps.log });
    expect(await client.verify(key)).toMatchObject({ ok: true, credential: { plan: "free" } });
    expect((await admin("PUT", "/admin/v1/tenants/grow/plan", { plan: "network", limits: { feedConnections: 3 } })).status).toBe(200);
    await until("the client sees the plan", async () => {
      const verified = await client.verify(key);
      return verified.ok && verified.credential.plan === "network" && verified.credential.limits.feedConnections === 3;
    });
    const site = await admin("PUT", "/admin/v1/tenants/grow/sites/main", { settings: { preset: "gdpr_strict" } });
    expect(site.body).toMatchObject({ name: "main", domains: ["*"], settings: { preset: "gdpr_strict" } });
    await until("the client sees the site", async () => {
      const verified = await client.verify(key);
      return verified.ok && verified.credential.sites[0]?.settings.preset === "gdpr_strict";
    });
    client.stop();
  });

  it("refuses a key for an existing tenant under another plan", async () => {
    const refused = await admin("POST", "/admin/v1/keys", { tenant: "acme", plan: "free", scopes: ["signals:read"] });
    expect([refused.status, refused.body["error"]]).toEqual([409, "conflict"]);
  });
});

describe("bad input", () => {
  it.each([
    ["no token", "GET", "/admin/v1/tenants", undefined, "", 401, "missing_api_key"],
    ["a wrong token", "GET", "/admin/v1/tenants", undefined, "wrong", 401, "invalid_api_key"],
    [
      "an unknown member",
      "POST",
      "/admin/v1/keys",
      { tenant: "a", scopes: ["events:write"], tenantId: "ten_x" },
      adminToken,
      400,
      "invalid_request",
    ],
    [
      "__proto__",
      "POST",
      "/admin/v1/keys",
      '{"tenant":"a","scopes":["events:write"],"__proto__":{"plan":"custom"}}',
      adminToken,
      400,
      "invalid_request",
    ],
    ["a scope nobody has", "POST", "/admin/v1/keys", { tenant: "a", scopes: ["root"] }, adminToken, 400, "invalid_request"],
    ["a slug with a dot", "POST", "/admin/v1/tenants", { slug: "a.b" }, adminToken, 400, "invalid_request"],
    ["broken JSON", "POST", "/admin/v1/keys", "{", adminToken, 400, "invalid_json"],
    ["a large body", "POST", "/admin/v1/keys", JSON.stringify({ tenant: "x".repeat(70_000) }), adminToken, 413, "payload_too_large"],
    ["an id with NUL", "DELETE", "/admin/v1/keys/%00", undefined, adminToken, 400, "invalid_request"],
    [
      "settings with NUL",
      "PUT",
      "/admin/v1/tenants/acme/sites/main",
      '{"settings":{"aliases":{"a":"\\u0000"}}}',
      adminToken,
      400,
      "invalid_request",
    ],
    ["a name with a lone surrogate", "POST", "/admin/v1/tenants", '{"slug":"s","name":"\\ud800"}', adminToken, 400, "invalid_request"],
    ["a tenant that is not", "GET", "/admin/v1/keys?tenant=nobody", undefined, adminToken, 404, "not_found"],
    ["a path that is not", "GET", "/admin/v1/nothing", undefined, adminToken, 404, "not_found"],
    ["a second tenant of that name", "POST", "/admin/v1/tenants", { slug: "acme" }, adminToken, 409, "conflict"],
  ])("%s", async (_name, method, path, body, token, status, error) => {
    const answer = await admin(method, path, body, token);
    expect([answer.status, answer.body["error"]]).toEqual([status, error]);
    expect(typeof answer.body["message"]).toBe("string");
  });
});

describe("faults", () => {
  const isRunning = (): boolean => {
    try {
      return postgres.pid() > 0;
    } catch {
      return false;
    }
  };

  it("verifies while PostgreSQL is killed, and takes commands again afterwards", async () => {
    const made = await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] });
    const key = String(made.body["key"]);
    await agreed("known", (answer) => answer.ok, key);
    const dead = postgres.pid();
    postgres.kill();
    expect((await verify(key)).ok).toBe(true);
    await until("commands fail as overloaded or work again", async () =>
      [201, 503].includes((await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] })).status),
    );
    await until("postgres is another process", () => isRunning() && postgres.pid() !== dead, 30_000);
    await until(
      "commands work again",
      async () => (await admin("POST", "/admin/v1/keys", { tenant: "acme", scopes: ["events:write"] })).status === 201,
      30_000,
    );
  }, 90_000);

  it("publishes what was committed while NATS was killed", async () => {
    nats.kill();
    const made = await admin("POST", "/admin/v1/keys", { tenant: "late", plan: "free", scopes: ["events:write"] });
    expect(made.status).toBe(201);
    await until(
      "the record arrives",
      () => registry.list("tenant").some((record) => (record.data as { slug: string }).slug === "late"),
      20_000,
    );
  });
});

it("finds nothing to rebuild in a complete registry", async () => {
  const before = registry.position();
  await until("the database answers", async () => (await admin("POST", "/admin/v1/rebuild/registry", {})).status === 200);
  const again = await admin("POST", "/admin/v1/rebuild/registry", {});
  expect(again.body).toEqual({ restated: 0 });
  expect(registry.position()).toBeGreaterThanOrEqual(before);
});

describe("a registry that lost its store", () => {
  it("is told every fact again at the next start, and nothing when it is complete", async () => {
    // The instances of the old registry would publish what is meant for the new one: this is the last test of the file.
    for (const service of services.splice(0)) await service.stop();
    const fresh = await startNats();
    const connection = await openNats({ url: fresh.url, name: "test", log: deps.log });
    try {
      const start = () => startAuth(parseAuthConfig({}), { ...deps, natsUrl: fresh.url, instanceId: "auth-9" });
      const first = await start();
      await first.settled();
      const view = await openRegistry(connection, { log: deps.log });
      // Compared with the database: the one of the tests gives up durability, so its kill above may have cost it its last commits.
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      const ids = async (query: string): Promise<unknown[]> => (await client.query<{ id: string }>(query)).rows.map((row) => row.id);
      const stored = {
        tenant: await ids("SELECT id FROM auth.tenants"),
        site: await ids("SELECT id FROM auth.sites"),
        key: await ids("SELECT id FROM auth.keys WHERE revoked_at IS NULL"),
      };
      await client.end();
      for (const aggregate of ["tenant", "site", "key"] as const) {
        expect(stored[aggregate].length).toBeGreaterThan(1);
        expect(
          view
            .list(aggregate)
            .map((record) => record.id)
            .toSorted(),
        ).toEqual(stored[aggregate].toSorted());
      }
      await first.stop();
      const told = view.position();
      const second = await start();
      await second.settled();
      await second.stop();
      await view.stop();
      const after = await openRegistry(connection, { log: deps.log });
      expect(after.position()).toBe(told);
      await after.stop();
    } finally {
      await connection.drain();
      await fresh.stop();
    }
  }, 60_000);
});

/**
 * Composition root of auth.
 * Consumes: REGISTRY (what other instances changed), `svc.auth.verify`. Produces: registry.tenant|site|key.<id> through the outbox.
 * Stores: tenants, sites, keys (hashes only) in PostgreSQL schema `auth`. Owns: the streams REGISTRY and DLQ.
 * Must never: let a key or its hash leave the process, or answer differently for a revoked and an unknown key.
 * Place of accounts: tables beside `tenants` in adapters/db-schema.ts, routes beside adapters/admin-routes.ts.
 */
import path from "node:path";
import { announceService, connectService, createPublisher, ensureStreams, lastMessage, openRegistry } from "@headwater/messaging";
import { createOutboxRelay, migrate, openPool } from "@headwater/postgres";
import { type RegistryRecord, streamSpecs } from "@headwater/protocol";
import { combineHealth, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import { Counter, Gauge, Registry } from "prom-client";
import { adminRoutes } from "./adapters/admin-routes.ts";
import { AuthStore } from "./adapters/auth-store.ts";
import { createCredentialFeed } from "./adapters/credential-feed.ts";
import { restateMissing } from "./adapters/restate.ts";
import { createVerifier } from "./adapters/verifier.ts";
import type { AuthConfig } from "./config.ts";
import { CredentialTable } from "./domain/credential-table.ts";

const migrations = path.resolve(import.meta.dirname, "../migrations");
const FLUSH_WITHIN_MS = 2_000;

export async function startAuth(config: AuthConfig, deps: Deps): Promise<Service> {
  const { log, clock } = deps;
  if (deps.databaseUrl === undefined) throw new Error("auth needs DATABASE_URL");
  const stack = new ResourceStack();
  try {
    const nats = await connectService(deps, config.natsConnectTimeoutMs);
    stack.defer(() => nats.drain());
    await ensureStreams(
      nats,
      streamSpecs(deps.profile).filter((spec) => spec.owner === "auth"),
      { replicas: config.natsReplicas },
    );
    const pool = await openPool({ url: deps.databaseUrl, max: config.databasePoolSize, applicationName: deps.instanceId, log });
    stack.defer(() => pool.end());
    await migrate({ pool, schema: "auth", folder: migrations });
    const store = new AuthStore({
      pool,
      pepper: deps.secrets.keyPepper,
      now: () => new Date(clock.now()),
      defaultDomains: config.defaultDomains,
    });

    const publisher = createPublisher(nats);
    stack.defer(() => publisher.close());
    const relay = createOutboxRelay({
      pool,
      schema: "auth",
      publish: async (row, later) => {
        const stored = (await lastMessage(nats, "REGISTRY", row.subject))?.header("Nats-Msg-Id");
        if (stored !== undefined && (stored === row.id || later.includes(stored))) return;
        await publisher.publish(row.subject, row.payload, { msgId: row.id, expectStream: "REGISTRY" });
      },
      log,
    });
    stack.defer(() => relay.stop());

    // The database after the registry: a change between the two reads is in both, never in neither.
    const registry = await openRegistry(nats, { aggregates: ["tenant", "site", "key"], log });
    stack.defer(() => registry.stop());
    const table = new CredentialTable();
    const feed = createCredentialFeed({ table, loadKey: (id) => store.loadKey(id), log });
    stack.defer(() => feed.stop());
    // A record that comes while the rows are read is newer than they are.
    const early: RegistryRecord[] = [];
    let isLoaded = false;
    const stopListening = registry.onChange((record) => (isLoaded ? feed.apply(record) : void early.push(record)));
    stack.defer(stopListening);
    const loaded = await store.loadAll();
    for (const tenant of loaded.tenants) table.putTenant(tenant);
    for (const site of loaded.sites) table.putSite(site);
    for (const key of loaded.keys) table.putKey(key);
    isLoaded = true;
    for (const record of early) feed.apply(record);
    const restate = async (): Promise<number> => {
      const facts = await restateMissing({ store, registry, relay });
      if (facts > 0) log.warn({ facts }, "auth.registry_restated");
      return facts;
    };
    await restate();

    const metrics = new Registry();
    metrics.setDefaultLabels({ service: "auth" });
    const verifications = new Counter({
      name: "headwater_auth_verifications_total",
      help: "Answers to svc.auth.verify",
      labelNames: ["outcome"],
      registers: [metrics],
    });
    new Gauge({
      name: "headwater_auth_keys",
      help: "API keys in memory",
      registers: [metrics],
      collect() {
        this.set(table.keyCount());
      },
    });

    const used = new Set<string>();
    const verify = createVerifier({
      table,
      pepper: deps.secrets.keyPepper,
      loadByLookup: (lookup) => store.loadByLookup(lookup),
      isComplete: () => feed.isComplete(),
      now: () => clock.now(),
      position: () => registry.position(),
      onAnswer: (answer) => {
        if (answer.ok) used.add(answer.credential.keyId);
        verifications.inc({ outcome: answer.ok ? "ok" : answer.code });
      },
    });
    let isDatabaseUp = true;
    const flushUsed = async (): Promise<void> => {
      const ids = [...used];
      used.clear();
      try {
        // Also the probe that notices a database that went away or came back.
        if (ids.length === 0) await pool.query("SELECT 1");
        else await store.touchKeys(ids, new Date(clock.now()));
        isDatabaseUp = true;
      } catch (error) {
        isDatabaseUp = false;
        for (const id of ids) used.add(id);
        log.warn({ err: error }, "auth.last_used_not_written");
      }
    };
    const timer = setInterval(() => void flushUsed(), config.lastUsedFlushMs);
    stack.defer(async () => {
      clearInterval(timer);
      await flushUsed();
    });

    const router = adminRoutes({
      store,
      adminToken: deps.secrets.adminToken,
      rebuildRegistry: restate,
      applied: async (change) => {
        if (change.tenant) table.putTenant(change.tenant);
        if (change.created) {
          table.putTenant(change.created.tenant);
          if (change.created.site) table.putSite(change.created.site);
          table.putKey(change.created.stored);
        }
        if (change.site) table.putSite(change.site);
        if (change.revoked) table.updateKey(change.revoked);
        relay.wake();
        // The caller's next look should see the change everywhere; when the broker is away the outbox keeps it.
        await relay.flush(FLUSH_WITHIN_MS);
      },
    });
    const status = (): Record<string, unknown> => ({ lanes: [], keys: table.keyCount(), registry: registry.position() });
    const micro = announceService(nats, deps, {
      name: "auth",
      description: "accounts, API keys, plans; verifies credentials for everyone",
      status,
      endpoints: { verify },
    });
    stack.defer(() => micro.stop());
    return {
      name: "auth",
      router,
      health: () =>
        combineHealth(
          {
            nats: nats.connected() ? { ok: true } : { ok: false, detail: "disconnected" },
            database: isDatabaseUp ? { ok: true } : { ok: false, detail: "last write failed" },
          },
          ["database"],
        ),
      metrics,
      status,
      settled: async (options) => {
        const withinMs = options?.withinMs ?? 10_000;
        if (!(await relay.flush(withinMs))) throw new Error(`the outbox is not empty after ${withinMs} ms`);
      },
      stop: () => stack.close(),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

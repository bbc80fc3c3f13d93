/**
 * Composition root of auth.
 * Consumes: REGISTRY (what other instances changed), `svc.auth.verify|session|usage`, `rpc.limits.<lane>.*`.
 * Produces: registry.tenant|site|key|session.<id> through the outbox.
 * Stores: tenants, sites, keys, accounts, login sessions, token usage in PostgreSQL schema `auth`. Owns: the streams REGISTRY and DLQ.
 * Must never: let a key, a password or their hashes leave the process, or answer differently for a revoked and an unknown key.
 */
import path from "node:path";
import {
  announceService,
  connectService,
  createPublisher,
  createSharedLimiter,
  type SharedLimiterOptions,
  ensureStreams,
  lastMessage,
  openRegistry,
} from "@headwater/messaging";
import { createOutboxRelay, migrate, openPool } from "@headwater/postgres";
import { BUDGETS, type RegistryRecord, streamSpecs } from "@headwater/protocol";
import { combineHealth, type Deps, ResourceStack, type Service } from "@headwater/runtime";
import { Router } from "express";
import { Counter, Gauge, Registry } from "prom-client";
import { composeAccounts } from "./accounts.ts";
import type { AccountChange } from "./adapters/account-ports.ts";
import { adminRoutes } from "./adapters/admin-routes.ts";
import { AuthStore } from "./adapters/auth-store.ts";
import { createCredentialFeed } from "./adapters/credential-feed.ts";
import { startLimitLanes } from "./adapters/limit-lanes.ts";
import { createLoginTokens } from "./adapters/login-tokens.ts";
import { restateMissing } from "./adapters/restate.ts";
import { createSessionVerifier } from "./adapters/session-verifier.ts";
import { headersOf } from "./adapters/outbox-headers.ts";
import { createVerifier } from "./adapters/verifier.ts";
import type { AuthConfig } from "./config.ts";
import { CredentialTable } from "./domain/credential-table.ts";
import { EndedSessions } from "./domain/ended-sessions.ts";

const migrations = path.resolve(import.meta.dirname, "../migrations");
const FLUSH_WITHIN_MS = 2_000;
const PRUNE_EVERY_MS = 3_600_000;

/** @param overrides for tests of what all instances share, on machines too busy to answer within 250 ms. */
export async function startAuth(
  config: AuthConfig,
  deps: Deps,
  overrides: Pick<SharedLimiterOptions, "answerWithinMs"> = {},
): Promise<Service> {
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
    const storeOptions = {
      pool,
      pepper: deps.secrets.keyPepper,
      now: () => new Date(clock.now()),
      defaultDomains: config.defaultDomains,
    };
    const store = new AuthStore(storeOptions);

    const publisher = createPublisher(nats);
    stack.defer(() => publisher.close());
    const relay = createOutboxRelay({
      pool,
      schema: "auth",
      publish: async (row, later) => {
        const stored = (await lastMessage(nats, "REGISTRY", row.subject))?.header("Nats-Msg-Id");
        if (stored !== undefined && (stored === row.id || later.includes(stored))) return;
        await publisher.publish(row.subject, row.payload, {
          msgId: row.id,
          expectStream: "REGISTRY",
          headers: headersOf(row, clock.now()),
        });
      },
      log,
    });
    stack.defer(() => relay.stop());

    // The database after the registry: a change between the two reads is in both, never in neither.
    const registry = await openRegistry(nats, { aggregates: ["tenant", "site", "key", "session"], log });
    stack.defer(() => registry.stop());
    const table = new CredentialTable();
    const ended = new EndedSessions();
    const feed = createCredentialFeed({ table, ended, loadKey: (id) => store.loadKey(id), log });
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
    for (const session of loaded.endedSessions) ended.end(session.id, Date.parse(session.revokedAt));
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
    const sessionChecks = new Counter({
      name: "headwater_auth_session_checks_total",
      help: "Login tokens looked at, by svc.auth.session and by auth's own routes",
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
    const usedSessions = new Set<string>();
    const tokens = createLoginTokens(deps.secrets.jwtSecret);
    const sessionVerifier = createSessionVerifier({
      tokens,
      ended,
      table,
      loadTenant: (id) => store.loadTenant(id),
      now: () => clock.now(),
      position: () => registry.position(),
      onAnswer: (answer) => {
        if (answer.ok) usedSessions.add(answer.session.sessionId);
        sessionChecks.inc({ outcome: answer.ok ? "ok" : answer.code });
      },
    });
    const applyChange = async (change: AccountChange): Promise<void> => {
      if (change.tenant) table.putTenant(change.tenant);
      if (change.site) table.putSite(change.site);
      if (change.key) table.putKey(change.key);
      for (const key of change.revokedKeys ?? []) table.updateKey(key);
      for (const session of change.endedSessions ?? []) ended.end(session.id, Date.parse(session.revokedAt));
      relay.wake();
      // The caller's next look should see the change everywhere; when the broker is away the outbox keeps it.
      await relay.flush(FLUSH_WITHIN_MS);
    };
    const leaseBucket = { replicas: config.natsReplicas, maxBytes: BUDGETS[deps.profile].kv };
    const limitLanes = await startLimitLanes({ nats, instanceId: deps.instanceId, clock, log, metrics, leaseBucket });
    stack.defer(() => limitLanes.stop());
    const limiter = createSharedLimiter(nats, { instanceId: deps.instanceId, clock, log, ...overrides });
    stack.defer(() => limiter.stop());
    const accounts = await composeAccounts({
      config,
      deps,
      store: storeOptions,
      tokens,
      verifier: sessionVerifier,
      limiter,
      metrics,
      applied: applyChange,
    });

    let isDatabaseUp = true;
    const flushUsed = async (): Promise<void> => {
      const ids = [...used];
      const sessionIds = [...usedSessions];
      used.clear();
      usedSessions.clear();
      try {
        // Also the probe that notices a database that went away or came back.
        if (ids.length === 0 && sessionIds.length === 0) await pool.query("SELECT 1");
        await store.touchKeys(ids, new Date(clock.now()));
        await accounts.touchSessions(sessionIds, new Date(clock.now()));
        isDatabaseUp = true;
      } catch (error) {
        isDatabaseUp = false;
        for (const id of ids) used.add(id);
        for (const id of sessionIds) usedSessions.add(id);
        log.warn({ err: error }, "auth.last_used_not_written");
      }
    };
    const timer = setInterval(() => void flushUsed(), config.lastUsedFlushMs);
    const prune = async (): Promise<void> => {
      ended.prune(clock.now());
      try {
        await accounts.prune();
      } catch (error) {
        log.warn({ err: error }, "auth.not_pruned");
      }
    };
    const pruneTimer = setInterval(() => void prune(), PRUNE_EVERY_MS);
    stack.defer(async () => {
      clearInterval(timer);
      clearInterval(pruneTimer);
      await flushUsed();
    });
    // What ran out while nobody was here.
    await prune();

    const admin = adminRoutes({
      store,
      adminToken: deps.secrets.adminToken,
      rebuildRegistry: restate,
      applied: ({ tenant, site, created, revoked }) =>
        applyChange({
          ...(created ? { tenant: created.tenant, key: created.stored } : tenant ? { tenant } : {}),
          ...(created?.site ? { site: created.site } : site ? { site } : {}),
          ...(revoked ? { revokedKeys: [revoked] } : {}),
        }),
    });
    const router = Router({ caseSensitive: true });
    router.use(admin);
    router.use(accounts.router);
    const status = (): Record<string, unknown> => ({
      lanes: limitLanes.lanes(),
      keys: table.keyCount(),
      endedSessions: ended.size(),
      registry: registry.position(),
    });
    const micro = announceService(nats, deps, {
      name: "auth",
      description: "accounts, API keys, plans; verifies credentials for everyone",
      status,
      endpoints: { verify, session: (payload) => sessionVerifier.answer(payload), usage: (payload) => accounts.usage(payload) },
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

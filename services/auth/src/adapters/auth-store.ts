/**
 * Tenants, sites and keys in PostgreSQL. Every change writes its registry record into the outbox in the same transaction.
 * Tests: ../service.int.test.ts.
 */
import { type KeyRecord, SessionRecord, SiteRecord, SiteSettings, TenantRecord } from "@headwater/protocol";
import { and, asc, eq, gt, inArray, isNotNull, isNull, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type { CreateKey, CreateTenant, PutSite, SetPlan } from "../domain/commands.ts";
import { DEFAULT_PREFIX, hintOf } from "../domain/commands.ts";
import type { StoredKey } from "../domain/credential-table.ts";
import { keys, sessions, sites, tenants } from "./db-schema.ts";
import type { Fact } from "./restate.ts";
import { digestOf, lookupOf, newId, newKey } from "./secrets.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";

export class StoreRefusal extends Error {
  readonly code: "not_found" | "conflict";
  constructor(code: "not_found" | "conflict", message: string) {
    super(message);
    this.code = code;
  }
}

export interface CreatedKey {
  /** The key itself: shown once, stored nowhere. */
  key: string;
  stored: StoredKey;
  tenant: TenantRecord;
  /** The default site when this call made it. */
  site?: SiteRecord;
  isNewTenant: boolean;
}

export interface AuthStoreOptions extends StoreOptions {
  /** Domains of the site `main` of a new tenant when the command names none. */
  defaultDomains: string[];
}

export interface LoadedFacts {
  tenants: TenantRecord[];
  sites: SiteRecord[];
  keys: StoredKey[];
  /** Login sessions that ended and whose token could still be shown. */
  endedSessions: SessionRecord[];
}

export class AuthStore {
  readonly #options: AuthStoreOptions;
  constructor(options: AuthStoreOptions) {
    this.#options = options;
  }

  async loadAll(): Promise<LoadedFacts> {
    const db = drizzle(this.#options.pool);
    const [tenantRows, siteRows, keyRows, sessionRows] = await Promise.all([
      db.select().from(tenants),
      db.select().from(sites).orderBy(asc(sites.createdAt), asc(sites.id)),
      db.select().from(keys).where(isNull(keys.revokedAt)),
      db
        .select()
        .from(sessions)
        .where(and(isNotNull(sessions.revokedAt), gt(sessions.expiresAt, this.#options.now()))),
    ]);
    return {
      tenants: tenantRows.map(toTenant),
      sites: siteRows.map(toSite),
      keys: keyRows.map(toKey),
      endedSessions: sessionRows.map(toEndedSession),
    };
  }

  async loadKey(id: string): Promise<StoredKey | undefined> {
    const [row] = await drizzle(this.#options.pool).select().from(keys).where(eq(keys.id, id));
    return row && toKey(row);
  }

  async loadTenant(id: string): Promise<{ tenant: TenantRecord; sites: SiteRecord[] } | undefined> {
    const db = drizzle(this.#options.pool);
    const [row] = await db.select().from(tenants).where(eq(tenants.id, id));
    if (!row) return undefined;
    const siteRows = await db.select().from(sites).where(eq(sites.tenantId, id)).orderBy(asc(sites.createdAt), asc(sites.id));
    return { tenant: toTenant(row), sites: siteRows.map(toSite) };
  }

  /** A key that is not revoked, with its tenant and sites. */
  async loadByLookup(lookup: string): Promise<{ key: StoredKey; tenant: TenantRecord; sites: SiteRecord[] } | undefined> {
    const db = drizzle(this.#options.pool);
    const [row] = await db
      .select()
      .from(keys)
      .innerJoin(tenants, eq(keys.tenantId, tenants.id))
      .where(and(eq(keys.lookup, lookup), isNull(keys.revokedAt)));
    if (!row) return undefined;
    const siteRows = await db.select().from(sites).where(eq(sites.tenantId, row.tenants.id)).orderBy(asc(sites.createdAt), asc(sites.id));
    return { key: toKey(row.keys), tenant: toTenant(row.tenants), sites: siteRows.map(toSite) };
  }

  /** Writes facts to the outbox again, as they are. */
  async restate(facts: readonly Fact[]): Promise<void> {
    await inTransaction(this.#options, async (_db, tell) => {
      for (const fact of facts) await tell(`${fact.aggregate}.restated`, fact.aggregate, fact.id, fact.data);
    });
  }

  async listTenants(): Promise<TenantRecord[]> {
    return (await drizzle(this.#options.pool).select().from(tenants).orderBy(asc(tenants.slug))).map(toTenant);
  }

  async listKeys(slug: string): Promise<(KeyRecord & { lastUsedAt: string | null })[]> {
    const db = drizzle(this.#options.pool);
    const tenant = await tenantBySlug(db, slug);
    const rows = await db.select().from(keys).where(eq(keys.tenantId, tenant.id)).orderBy(asc(keys.createdAt), asc(keys.id));
    return rows.map((row) => ({ ...toKey(row).record, lastUsedAt: row.lastUsedAt?.toISOString() ?? null }));
  }

  async createTenant(command: CreateTenant): Promise<{ tenant: TenantRecord; site: SiteRecord }> {
    return await inTransaction(this.#options, async (db, tell) => {
      const [taken] = await db.select().from(tenants).where(eq(tenants.slug, command.slug));
      if (taken) throw new StoreRefusal("conflict", `tenant ${command.slug} exists already`);
      return await insertTenant(db, tell, this.#tenantOf(command));
    });
  }

  async createKey(command: CreateKey): Promise<CreatedKey> {
    return await inTransaction(this.#options, async (db, tell) => {
      const [found] = await db.select().from(tenants).where(eq(tenants.slug, command.tenant));
      let tenant = found && toTenant(found);
      let site: SiteRecord | undefined;
      if (!tenant)
        ({ tenant, site } = await insertTenant(db, tell, this.#tenantOf({ slug: command.tenant, plan: command.plan ?? "free" })));
      else if (command.plan !== undefined && command.plan !== tenant.plan) {
        throw new StoreRefusal("conflict", `tenant ${tenant.slug} has plan ${tenant.plan}; change it with tenants set-plan`);
      }
      const prefix = command.prefix ?? DEFAULT_PREFIX;
      const key = newKey(prefix);
      const now = this.#options.now();
      const row: typeof keys.$inferInsert = {
        id: newId("key"),
        tenantId: tenant.id,
        userId: null,
        name: command.name ?? `${command.type} key`,
        type: command.type,
        hint: hintOf(key, prefix),
        lastChars: key.slice(-8),
        lookup: lookupOf(this.#options.pepper, digestOf(key)),
        scopes: command.scopes,
        domains: command.domains,
        createdAt: now,
        expiresAt: command.expiresAt === undefined ? null : new Date(command.expiresAt),
        revokedAt: null,
        lastUsedAt: null,
      };
      await db.insert(keys).values(row);
      // The row just inserted has every column set.
      const stored = toKey(row as typeof keys.$inferSelect);
      await tell("key.created", "key", stored.record.id, stored.record);
      return { key, stored, tenant, isNewTenant: site !== undefined, ...(site ? { site } : {}) };
    });
  }

  /** @param keyOrId the key's id, its digest (so that it need not stand in a URL), or the key itself. */
  async revokeKey(keyOrId: string): Promise<KeyRecord> {
    return await inTransaction(this.#options, async (db, tell) => {
      const digest = /^[0-9a-f]{64}$/.test(keyOrId) ? keyOrId : digestOf(keyOrId);
      const lookup = lookupOf(this.#options.pepper, digest);
      const [row] = await db
        .select()
        .from(keys)
        .where(or(eq(keys.id, keyOrId), eq(keys.lookup, lookup)))
        .for("update");
      if (!row) throw new StoreRefusal("not_found", "no such key");
      if (row.revokedAt !== null) return toKey(row).record;
      const revokedAt = this.#options.now();
      await db.update(keys).set({ revokedAt }).where(eq(keys.id, row.id));
      const { record } = toKey({ ...row, revokedAt });
      await tell("key.revoked", "key", record.id, record);
      return record;
    });
  }

  async setPlan(slug: string, command: SetPlan): Promise<TenantRecord> {
    return await inTransaction(this.#options, async (db, tell) => {
      const tenant = await tenantBySlug(db, slug);
      const [row] = await db
        .update(tenants)
        .set({
          plan: command.plan,
          ...(command.limits === undefined ? {} : { limits: withoutUndefined(command.limits) }),
          ...(command.overdraftAllowed === undefined ? {} : { overdraftAllowed: command.overdraftAllowed }),
        })
        .where(eq(tenants.id, tenant.id))
        .returning();
      if (!row) throw new StoreRefusal("not_found", "no such tenant");
      const record = toTenant(row);
      await tell("tenant.plan_set", "tenant", record.id, record);
      return record;
    });
  }

  /** Creates the site or replaces what the command names. */
  async putSite(slug: string, name: string, command: PutSite): Promise<SiteRecord> {
    return await inTransaction(this.#options, async (db, tell) => {
      const tenant = await tenantBySlug(db, slug);
      const [known] = await db
        .select()
        .from(sites)
        .where(and(eq(sites.tenantId, tenant.id), eq(sites.name, name)))
        .for("update");
      if (!known)
        return await insertSite(db, tell, {
          tenantId: tenant.id,
          name,
          domains: command.domains ?? [],
          settings: command.settings ?? SiteSettings.parse({}),
          isDefault: false,
          createdAt: this.#options.now(),
        });
      const [row] = await db
        .update(sites)
        .set({ domains: command.domains ?? known.domains, settings: command.settings ?? known.settings })
        .where(eq(sites.id, known.id))
        .returning();
      if (!row) throw new StoreRefusal("not_found", "no such site");
      const record = toSite(row);
      await tell("site.updated", "site", record.id, record);
      return record;
    });
  }

  #tenantOf(command: CreateTenant): Parameters<typeof insertTenant>[2] {
    return { ...command, domains: command.domains ?? this.#options.defaultDomains, now: this.#options.now() };
  }

  async touchKeys(ids: string[], at: Date): Promise<void> {
    if (ids.length > 0) await drizzle(this.#options.pool).update(keys).set({ lastUsedAt: at }).where(inArray(keys.id, ids));
  }
}

/** Inserts a tenant with its site `main`, inside the caller's transaction. */
export async function insertTenant(
  db: Db,
  tell: Tell,
  command: { slug: string; name?: string | undefined; plan: TenantRecord["plan"]; ownerId?: string; domains: string[]; now: Date },
): Promise<{ tenant: TenantRecord; site: SiteRecord }> {
  const row = {
    id: newId("ten"),
    slug: command.slug,
    name: command.name ?? command.slug,
    plan: command.plan,
    limits: null,
    ownerId: command.ownerId ?? null,
    overdraftAllowed: true,
    createdAt: command.now,
  };
  await db.insert(tenants).values(row);
  const tenant = toTenant(row);
  await tell("tenant.created", "tenant", tenant.id, tenant);
  const site = await insertSite(db, tell, {
    tenantId: tenant.id,
    name: "main",
    domains: command.domains,
    settings: SiteSettings.parse({}),
    isDefault: true,
    createdAt: command.now,
  });
  return { tenant, site };
}

async function insertSite(db: Db, tell: Tell, values: Omit<typeof sites.$inferInsert, "id">): Promise<SiteRecord> {
  const row = { id: newId("site"), ...values };
  await db.insert(sites).values(row);
  const record = toSite(row);
  await tell("site.created", "site", record.id, record);
  return record;
}

async function tenantBySlug(db: Db, slug: string): Promise<TenantRecord> {
  const [row] = await db.select().from(tenants).where(eq(tenants.slug, slug));
  if (!row) throw new StoreRefusal("not_found", `no tenant ${slug}`);
  return toTenant(row);
}

function withoutUndefined<T extends object>(value: T | null): { [K in keyof T]: Exclude<T[K], undefined> } | null {
  // JSON has no undefined; the round trip drops such members.
  return value === null ? null : JSON.parse(JSON.stringify(value));
}

export function toTenant(row: typeof tenants.$inferSelect): TenantRecord {
  return TenantRecord.parse({
    id: row.id,
    slug: row.slug,
    name: row.name,
    plan: row.plan,
    ...(row.limits === null ? {} : { limits: row.limits }),
    ...(row.ownerId === null ? {} : { ownerId: row.ownerId }),
    createdAt: row.createdAt.toISOString(),
  });
}

/** @throws ZodError for a session that has not ended. */
export function toEndedSession(row: typeof sessions.$inferSelect): SessionRecord {
  return SessionRecord.parse({
    id: row.id,
    tenantId: row.tenantId,
    userId: row.userId,
    revokedAt: row.revokedAt?.toISOString(),
    reason: row.revokedReason,
  });
}

function toSite(row: typeof sites.$inferInsert): SiteRecord {
  return SiteRecord.parse({
    id: row.id,
    tenantId: row.tenantId,
    name: row.name,
    domains: row.domains,
    settings: row.settings,
    createdAt: row.createdAt.toISOString(),
  });
}

export function toKey(row: typeof keys.$inferSelect): StoredKey {
  return {
    lookup: row.lookup,
    record: {
      id: row.id,
      tenantId: row.tenantId,
      ...(row.userId === null ? {} : { userId: row.userId }),
      name: row.name,
      // Only validated commands write this column.
      type: row.type as KeyRecord["type"],
      hint: row.hint,
      scopes: row.scopes,
      domains: row.domains,
      createdAt: row.createdAt.toISOString(),
      expiresAt: row.expiresAt?.toISOString() ?? null,
      revokedAt: row.revokedAt?.toISOString() ?? null,
    },
  };
}

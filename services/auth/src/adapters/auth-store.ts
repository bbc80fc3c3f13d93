/**
 * Tenants, sites and keys in PostgreSQL. Every change writes its registry record into the outbox in the same transaction.
 * Tests: ../service.int.test.ts.
 */
import { randomUUID } from "node:crypto";
import { type KeyRecord, type RegistryRecord, SiteRecord, SiteSettings, subjects, TenantRecord } from "@headwater/protocol";
import { appendOutbox, withTransaction } from "@headwater/postgres";
import { and, asc, eq, inArray, isNull, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { CreateKey, CreateTenant, PutSite, SetPlan } from "../domain/commands.ts";
import { DEFAULT_PREFIX, hintOf } from "../domain/commands.ts";
import type { StoredKey } from "../domain/credential-table.ts";
import { keys, sites, tenants } from "./db-schema.ts";
import type { Fact } from "./restate.ts";
import { digestOf, lookupOf, newId, newKey } from "./secrets.ts";

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

export interface AuthStoreOptions {
  pool: pg.Pool;
  pepper: string;
  now: () => Date;
  /** Domains of the site `main` of a new tenant when the command names none. */
  defaultDomains: string[];
}

type Db = ReturnType<typeof drizzle>;

export class AuthStore {
  readonly #options: AuthStoreOptions;
  constructor(options: AuthStoreOptions) {
    this.#options = options;
  }

  async loadAll(): Promise<{ tenants: TenantRecord[]; sites: SiteRecord[]; keys: StoredKey[] }> {
    const db = drizzle(this.#options.pool);
    const [tenantRows, siteRows, keyRows] = await Promise.all([
      db.select().from(tenants),
      db.select().from(sites).orderBy(asc(sites.createdAt), asc(sites.id)),
      db.select().from(keys).where(isNull(keys.revokedAt)),
    ]);
    return { tenants: tenantRows.map(toTenant), sites: siteRows.map(toSite), keys: keyRows.map(toKey) };
  }

  async loadKey(id: string): Promise<StoredKey | undefined> {
    const [row] = await drizzle(this.#options.pool).select().from(keys).where(eq(keys.id, id));
    return row && toKey(row);
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
    await this.#inTransaction(async (_db, tell) => {
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
    return await this.#inTransaction(async (db, tell) => {
      const [taken] = await db.select().from(tenants).where(eq(tenants.slug, command.slug));
      if (taken) throw new StoreRefusal("conflict", `tenant ${command.slug} exists already`);
      return await this.#insertTenant(db, tell, command);
    });
  }

  async createKey(command: CreateKey): Promise<CreatedKey> {
    return await this.#inTransaction(async (db, tell) => {
      const [found] = await db.select().from(tenants).where(eq(tenants.slug, command.tenant));
      let tenant = found && toTenant(found);
      let site: SiteRecord | undefined;
      if (!tenant) ({ tenant, site } = await this.#insertTenant(db, tell, { slug: command.tenant, plan: command.plan ?? "free" }));
      else if (command.plan !== undefined && command.plan !== tenant.plan) {
        throw new StoreRefusal("conflict", `tenant ${tenant.slug} has plan ${tenant.plan}; change it with tenants set-plan`);
      }
      const prefix = command.prefix ?? DEFAULT_PREFIX;
      const key = newKey(prefix);
      const now = this.#options.now();
      const row: typeof keys.$inferInsert = {
        id: newId("key"),
        tenantId: tenant.id,
        name: command.name ?? `${command.type} key`,
        type: command.type,
        hint: hintOf(key, prefix),
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
    return await this.#inTransaction(async (db, tell) => {
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
    return await this.#inTransaction(async (db, tell) => {
      const tenant = await tenantBySlug(db, slug);
      const [row] = await db
        .update(tenants)
        .set({ plan: command.plan, ...(command.limits === undefined ? {} : { limits: withoutUndefined(command.limits) }) })
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
    return await this.#inTransaction(async (db, tell) => {
      const tenant = await tenantBySlug(db, slug);
      const [known] = await db
        .select()
        .from(sites)
        .where(and(eq(sites.tenantId, tenant.id), eq(sites.name, name)))
        .for("update");
      if (!known)
        return await this.#insertSite(db, tell, tenant.id, name, command.domains ?? [], command.settings ?? SiteSettings.parse({}), false);
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

  async touchKeys(ids: string[], at: Date): Promise<void> {
    if (ids.length > 0) await drizzle(this.#options.pool).update(keys).set({ lastUsedAt: at }).where(inArray(keys.id, ids));
  }

  async #insertTenant(db: Db, tell: Tell, command: CreateTenant): Promise<{ tenant: TenantRecord; site: SiteRecord }> {
    const row = {
      id: newId("ten"),
      slug: command.slug,
      name: command.name ?? command.slug,
      plan: command.plan,
      limits: null,
      createdAt: this.#options.now(),
    };
    await db.insert(tenants).values(row);
    const tenant = toTenant(row);
    await tell("tenant.created", "tenant", tenant.id, tenant);
    const site = await this.#insertSite(
      db,
      tell,
      tenant.id,
      "main",
      command.domains ?? this.#options.defaultDomains,
      SiteSettings.parse({}),
      true,
    );
    return { tenant, site };
  }

  async #insertSite(
    db: Db,
    tell: Tell,
    tenantId: string,
    name: string,
    domains: string[],
    settings: SiteSettings,
    isDefault: boolean,
  ): Promise<SiteRecord> {
    const row = { id: newId("site"), tenantId, name, domains, settings, isDefault, createdAt: this.#options.now() };
    await db.insert(sites).values(row);
    const record = toSite(row);
    await tell("site.created", "site", record.id, record);
    return record;
  }

  async #inTransaction<T>(work: (db: Db, tell: Tell) => Promise<T>): Promise<T> {
    return await withTransaction(this.#options.pool, async (client) => {
      const tell: Tell = async (type, aggregate, id, data) => {
        const record: RegistryRecord = { v: 1, type, aggregate, id, at: this.#options.now().toISOString(), data };
        await appendOutbox(client, "auth", {
          id: randomUUID(),
          subject: subjects.registry(aggregate, id),
          payload: JSON.stringify(record),
        });
      };
      // drizzle works on a client as on a pool; its types name only the pool's result.
      return await work(drizzle(client) as unknown as Db, tell);
    });
  }
}

type Tell = (type: string, aggregate: RegistryRecord["aggregate"], id: string, data: unknown) => Promise<void>;

async function tenantBySlug(db: Db, slug: string): Promise<TenantRecord> {
  const [row] = await db.select().from(tenants).where(eq(tenants.slug, slug));
  if (!row) throw new StoreRefusal("not_found", `no tenant ${slug}`);
  return toTenant(row);
}

function withoutUndefined<T extends object>(value: T | null): { [K in keyof T]: Exclude<T[K], undefined> } | null {
  // JSON has no undefined; the round trip drops such members.
  return value === null ? null : JSON.parse(JSON.stringify(value));
}

function toTenant(row: typeof tenants.$inferSelect): TenantRecord {
  const { limits, createdAt, ...rest } = row;
  return TenantRecord.parse({ ...rest, ...(limits === null ? {} : { limits }), createdAt: createdAt.toISOString() });
}

function toSite(row: typeof sites.$inferSelect): SiteRecord {
  return SiteRecord.parse({
    id: row.id,
    tenantId: row.tenantId,
    name: row.name,
    domains: row.domains,
    settings: row.settings,
    createdAt: row.createdAt.toISOString(),
  });
}

function toKey(row: typeof keys.$inferSelect): StoredKey {
  return {
    lookup: row.lookup,
    record: {
      id: row.id,
      tenantId: row.tenantId,
      name: row.name,
      // Only CreateKey writes this column.
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

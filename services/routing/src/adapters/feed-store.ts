/**
 * Feeds in PostgreSQL: create, change, delete; each with its registry record in the same transaction. Who may do it is decided on the locked
 * row. Tests: ../marketplace.int.test.ts.
 */
import { randomBytes } from "node:crypto";
import { type FeedSecrets, isObjectId, objectIdOf, type SessionCredential } from "@headwater/protocol";
import { and, count, eq, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { type Applied, type FeedContent, isTooLarge, type Refused, refused } from "../domain/feed-content.ts";
import { feedRecord, isVisible, type StoredFeed } from "../domain/feed-view.ts";
import { type Resolved, secretNamesIn } from "../domain/secret-references.ts";
import { feeds, secretUses, subscriptions } from "./db-schema.ts";
import type { FeedVault } from "./feed-secrets.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";
import { lockSecrets, lockSecretsOf, resolveFor, type SecretVault } from "./user-secrets.ts";

export type FeedRow = typeof feeds.$inferSelect;
/** `missing`: there is none, as far as the caller may know. `foreign`: the caller sees it, but it is somebody else's. */
export type NotMine = { ok: false; code: "missing" | "foreign" };

export function storedFeed(row: FeedRow): StoredFeed {
  return { ...row, sealed: row.sealed ?? undefined, resolved: row.resolved ?? undefined, lastActiveAt: row.lastActiveAt ?? undefined };
}

export function newId(now: Date): string {
  return objectIdOf(now.getTime(), randomBytes(8));
}

export class FeedStore {
  readonly #options: StoreOptions;
  readonly #vault: FeedVault;
  readonly #secrets: SecretVault;
  constructor(options: StoreOptions, vaults: { feeds: FeedVault; secrets: SecretVault }) {
    this.#options = options;
    this.#vault = vaults.feeds;
    this.#secrets = vaults.secrets;
  }

  /** Any text may be asked for; undefined when the caller may not see such a feed. */
  async find(id: string, tenantId: string | undefined): Promise<StoredFeed | undefined> {
    if (!isObjectId(id)) return undefined;
    const [row] = await drizzle(this.#options.pool).select().from(feeds).where(eq(feeds.id, id));
    return row && isVisible(row, tenantId) ? storedFeed(row) : undefined;
  }

  contentOf(feed: StoredFeed): FeedContent {
    return { ...feed, secrets: this.#vault.open(feed.id, feed.sealed) };
  }

  /** With a first subscription of its owner. `limit`: the tenant has as many feeds as it may. */
  async create(
    owner: SessionCredential,
    content: FeedContent,
  ): Promise<{ ok: true; feed: StoredFeed } | { ok: false; code: "limit" } | Refused> {
    const now = this.#options.now();
    const id = newId(now);
    return await inTransaction(this.#options, async (db, tell) => {
      await lockSecrets(db, owner.userId, "shared");
      // One feed of a tenant is made at a time, or the limit would leak.
      await db.execute(sql`SELECT pg_advisory_xact_lock(hashtext(${`routing.feeds.${owner.tenantId}`}))`);
      const [held] = await db.select({ n: count() }).from(feeds).where(eq(feeds.tenantId, owner.tenantId));
      if ((held?.n ?? 0) >= owner.limits.feeds) return { ok: false, code: "limit" };
      const resolved = await resolveFor(db, this.#secrets, owner.userId, content);
      if (!resolved.ok) return resolved;
      const [row] = await db
        .insert(feeds)
        .values({
          ...columnsOf(content),
          id,
          tenantId: owner.tenantId,
          userId: owner.userId,
          ownerName: owner.username,
          ...this.#boxesOf(id, content.secrets, resolved.secrets),
          subscriberCount: 1,
          createdAt: now,
          updatedAt: now,
        })
        .returning();
      if (!row) throw new Error("the feed was not stored");
      await db.insert(subscriptions).values({ id: newId(now), userId: owner.userId, feedId: id, subscribedAt: now, isActive: true });
      const feed = storedFeed(row);
      await noteUses(db, feed, content.secrets);
      await tell("feed.created", id, feedRecord(feed));
      return { ok: true, feed };
    });
  }

  /** @param change gets what is stored and answers what shall be, or a refusal. */
  async update(
    id: string,
    tenantId: string,
    change: (content: FeedContent) => Applied,
  ): Promise<{ ok: true; feed: StoredFeed } | Refused | NotMine> {
    return await this.#onMine(id, tenantId, async (db, tell, before) => {
      const content = this.contentOf(before);
      const applied = change(content);
      if (!applied.ok) return applied;
      const { secrets } = applied.content;
      const isSame = JSON.stringify(secrets) === JSON.stringify(content.secrets);
      const resolved = isSame ? this.#keep(before, applied.content) : await resolveFor(db, this.#secrets, before.userId, applied.content);
      if (!resolved.ok) return resolved;
      const lost = before.isPublic && !applied.content.isPublic ? await endForeign(db, before) : 0;
      const [row] = await db
        .update(feeds)
        .set({
          ...columnsOf(applied.content),
          subscriberCount: before.subscriberCount - lost,
          // A new box has a new look: the same secrets keep theirs, so that nobody sees a change where there is none.
          ...(isSame ? {} : this.#boxesOf(id, secrets, resolved.secrets)),
          updatedAt: this.#options.now(),
        })
        .where(eq(feeds.id, id))
        .returning();
      if (!row) throw new Error("a locked feed is gone");
      const feed = storedFeed(row);
      if (!isSame) {
        await db.delete(secretUses).where(eq(secretUses.feedId, id));
        await noteUses(db, feed, secrets);
      }
      await tell("feed.updated", id, feedRecord(feed));
      return { ok: true as const, feed };
    });
  }

  /** Subscriptions go with it. */
  async remove(id: string, tenantId: string): Promise<{ ok: true } | NotMine> {
    return await this.#onMine(id, tenantId, async (db, tell) => {
      await db.delete(feeds).where(eq(feeds.id, id));
      await tell("feed.deleted", id, null);
      return { ok: true as const };
    });
  }

  async #onMine<T>(id: string, tenantId: string, work: (db: Db, tell: Tell, feed: StoredFeed) => Promise<T>): Promise<T | NotMine> {
    if (!isObjectId(id)) return { ok: false, code: "missing" };
    return await inTransaction(this.#options, async (db, tell) => {
      await lockSecretsOf(db, id);
      const [row] = await db.select().from(feeds).where(eq(feeds.id, id)).for("update");
      if (!row || !isVisible(row, tenantId)) return { ok: false as const, code: "missing" as const };
      if (row.tenantId !== tenantId) return { ok: false as const, code: "foreign" as const };
      return await work(db, tell, storedFeed(row));
    });
  }

  /** Credentials that stay are those of the moment already, but have to fit beside what changes. */
  #keep(before: StoredFeed, { settings }: FeedContent): Resolved {
    const secrets = this.#vault.open(before.id, before.resolved ?? before.sealed);
    return isTooLarge(settings, secrets) ? refused("FEED_TOO_LARGE") : { ok: true, secrets };
  }

  #boxesOf(id: string, written: FeedSecrets, resolved: FeedSecrets): Pick<FeedRow, "sealed" | "resolved"> {
    return {
      sealed: this.#vault.seal(id, written) ?? null,
      resolved: secretNamesIn(written).length === 0 ? null : (this.#vault.seal(id, resolved) ?? null),
    };
  }

  /** Newest upstream message per feed, ms. Never moves back; feeds that are gone are skipped. */
  async touch(lastActive: ReadonlyMap<string, number>): Promise<void> {
    if (lastActive.size === 0) return;
    // In the order in which others lock several feeds (secret-store.ts), or both could wait for each other.
    await this.#options.pool.query(
      `WITH seen AS (SELECT * FROM unnest($1::text[], $2::float8[]) AS seen(id, ms)),
            held AS (SELECT id FROM routing.feeds WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE)
       UPDATE routing.feeds f SET last_active_at = GREATEST(f.last_active_at, to_timestamp(seen.ms / 1000.0))
         FROM seen JOIN held USING (id) WHERE f.id = seen.id`,
      [[...lastActive.keys()], [...lastActive.values()]],
    );
  }

  async loadAll(): Promise<StoredFeed[]> {
    return (await drizzle(this.#options.pool).select().from(feeds)).map(storedFeed);
  }

  /** Tells the registry again what it should know of these feeds; those that are not stored are gone. */
  async restate(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      await inTransaction(this.#options, async (db, tell) => {
        const [row] = await db.select().from(feeds).where(eq(feeds.id, id)).for("update");
        await tell("feed.restated", id, row ? feedRecord(storedFeed(row)) : null);
      });
    }
  }
}

/** Remembers to which secrets of its owner a feed refers. */
async function noteUses(db: Db, { id: feedId, userId }: StoredFeed, written: FeedSecrets): Promise<void> {
  const uses = secretNamesIn(written).map((name) => ({ feedId, userId, name }));
  if (uses.length > 0) await db.insert(secretUses).values(uses);
}

/** A feed that becomes private is kept up for nobody but its owner. @returns how many subscriptions ended. */
async function endForeign(db: Db, feed: StoredFeed): Promise<number> {
  const ended = await db
    .update(subscriptions)
    .set({ isActive: false })
    .where(and(eq(subscriptions.feedId, feed.id), ne(subscriptions.userId, feed.userId), eq(subscriptions.isActive, true)))
    .returning({ id: subscriptions.id });
  return ended.length;
}

function columnsOf({ name, description, url, category, isActive, isPublic, tags, settings }: FeedContent) {
  return { name, description, url, category, isActive, isPublic, tags, settings };
}

/**
 * Feeds in PostgreSQL: create, change, delete; each with its registry record in the same transaction. Who may do it is decided on the locked
 * row. Tests: ../marketplace.int.test.ts.
 */
import { randomBytes } from "node:crypto";
import { isObjectId, objectIdOf, type SessionCredential } from "@headwater/protocol";
import { and, count, eq, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { type Applied, type FeedContent, type Refused } from "../domain/feed-content.ts";
import { feedRecord, isVisible, type StoredFeed } from "../domain/feed-view.ts";
import { feeds, subscriptions } from "./db-schema.ts";
import type { FeedVault } from "./feed-secrets.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";

export type FeedRow = typeof feeds.$inferSelect;
/** `missing`: there is none, as far as the caller may know. `foreign`: the caller sees it, but it is somebody else's. */
export type NotMine = { ok: false; code: "missing" | "foreign" };

export function storedFeed(row: FeedRow): StoredFeed {
  return { ...row, sealed: row.sealed ?? undefined, lastActiveAt: row.lastActiveAt ?? undefined };
}

export function newId(now: Date): string {
  return objectIdOf(now.getTime(), randomBytes(8));
}

export class FeedStore {
  readonly #options: StoreOptions;
  readonly #vault: FeedVault;
  constructor(options: StoreOptions, vault: FeedVault) {
    this.#options = options;
    this.#vault = vault;
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

  /** With a first subscription of its owner. @returns undefined when the tenant has as many feeds as it may. */
  async create(owner: SessionCredential, content: FeedContent): Promise<StoredFeed | undefined> {
    const now = this.#options.now();
    const id = newId(now);
    return await inTransaction(this.#options, async (db, tell) => {
      // One feed of a tenant is made at a time, or the limit would leak.
      await db.execute(sql`SELECT pg_advisory_xact_lock(hashtext(${`routing.feeds.${owner.tenantId}`}))`);
      const [held] = await db.select({ n: count() }).from(feeds).where(eq(feeds.tenantId, owner.tenantId));
      if ((held?.n ?? 0) >= owner.limits.feeds) return undefined;
      const [row] = await db
        .insert(feeds)
        .values({
          ...columnsOf(content),
          id,
          tenantId: owner.tenantId,
          userId: owner.userId,
          ownerName: owner.username,
          sealed: this.#vault.seal(id, content.secrets) ?? null,
          subscriberCount: 1,
          createdAt: now,
          updatedAt: now,
        })
        .returning();
      if (!row) throw new Error("the feed was not stored");
      await db.insert(subscriptions).values({ id: newId(now), userId: owner.userId, feedId: id, subscribedAt: now, isActive: true });
      const feed = storedFeed(row);
      await tell("feed.created", id, feedRecord(feed));
      return feed;
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
      const lost = before.isPublic && !applied.content.isPublic ? await endForeign(db, before) : 0;
      const [row] = await db
        .update(feeds)
        .set({
          ...columnsOf(applied.content),
          subscriberCount: before.subscriberCount - lost,
          // A new box has a new look: the same secrets keep theirs, so that nobody sees a change where there is none.
          sealed: (isSame ? before.sealed : this.#vault.seal(id, secrets)) ?? null,
          updatedAt: this.#options.now(),
        })
        .where(eq(feeds.id, id))
        .returning();
      if (!row) throw new Error("a locked feed is gone");
      const feed = storedFeed(row);
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
      const [row] = await db.select().from(feeds).where(eq(feeds.id, id)).for("update");
      if (!row || !isVisible(row, tenantId)) return { ok: false as const, code: "missing" as const };
      if (row.tenantId !== tenantId) return { ok: false as const, code: "foreign" as const };
      return await work(db, tell, storedFeed(row));
    });
  }

  /** Newest upstream message per feed, ms. Never moves back; feeds that are gone are skipped. */
  async touch(lastActive: ReadonlyMap<string, number>): Promise<void> {
    if (lastActive.size === 0) return;
    await this.#options.pool.query(
      `UPDATE routing.feeds f SET last_active_at = GREATEST(f.last_active_at, to_timestamp(seen.ms / 1000.0))
         FROM unnest($1::text[], $2::float8[]) AS seen(id, ms) WHERE f.id = seen.id`,
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

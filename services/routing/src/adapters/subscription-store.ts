/**
 * Subscriptions of accounts to feeds. The count on the feed moves in the same transaction, under the feed's lock; the registry is told only
 * when the first subscriber comes or the last one leaves. Tests: ../marketplace-subscriptions.int.test.ts.
 */
import { isObjectId, type SessionCredential } from "@headwater/protocol";
import { and, desc, eq, or, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { feedRecord, isVisible, type StoredFeed } from "../domain/feed-view.ts";
import { feeds, type SubscriptionSettings, subscriptions } from "./db-schema.ts";
import { newId, storedFeed } from "./feed-store.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";

export type SubscriptionRow = typeof subscriptions.$inferSelect;
type Caller = Pick<SessionCredential, "userId" | "tenantId">;

export class SubscriptionStore {
  readonly #options: StoreOptions;
  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** The one subscription of this account to the feed, made, woken or as it is. @returns undefined when there is no such feed for the caller. */
  async subscribe(caller: Caller, feedId: string): Promise<SubscriptionRow | undefined> {
    if (!isObjectId(feedId)) return undefined;
    return await inTransaction(this.#options, async (db, tell) => {
      const [feed] = await db.select().from(feeds).where(eq(feeds.id, feedId)).for("update");
      if (!feed || !isVisible(feed, caller.tenantId)) return undefined;
      const mine = and(eq(subscriptions.userId, caller.userId), eq(subscriptions.feedId, feedId));
      const now = this.#options.now();
      const [changed] = await db
        .insert(subscriptions)
        .values({ id: newId(now), userId: caller.userId, feedId, subscribedAt: now, isActive: true })
        .onConflictDoUpdate({
          target: [subscriptions.userId, subscriptions.feedId],
          set: { isActive: true, subscribedAt: now },
          setWhere: eq(subscriptions.isActive, false),
        })
        .returning();
      if (changed) await countOne(db, tell, feedId, 1);
      const [row] = changed ? [changed] : await db.select().from(subscriptions).where(mine);
      return row;
    });
  }

  /** @returns whether there was one. */
  async unsubscribe(userId: string, feedId: string): Promise<boolean> {
    if (!isObjectId(feedId)) return false;
    return await inTransaction(this.#options, async (db, tell) => {
      await db.select({ id: feeds.id }).from(feeds).where(eq(feeds.id, feedId)).for("update");
      const ended = await db
        .update(subscriptions)
        .set({ isActive: false })
        .where(and(eq(subscriptions.userId, userId), eq(subscriptions.feedId, feedId), eq(subscriptions.isActive, true)))
        .returning({ id: subscriptions.id });
      if (ended.length > 0) await countOne(db, tell, feedId, -1);
      return ended.length > 0;
    });
  }

  /** Active ones to feeds the caller may see, newest first. */
  async list(caller: Caller): Promise<{ subscription: SubscriptionRow; feed: StoredFeed }[]> {
    const rows = await drizzle(this.#options.pool)
      .select()
      .from(subscriptions)
      .innerJoin(feeds, eq(feeds.id, subscriptions.feedId))
      .where(and(activeOf(caller.userId), visibleTo(caller.tenantId)))
      .orderBy(desc(subscriptions.subscribedAt), desc(subscriptions.id));
    return rows.map((row) => ({ subscription: row.subscriptions, feed: storedFeed(row.feeds) }));
  }

  /** Sets what is given, keeps the rest. @returns false when the caller has no active subscription to a feed it may see. */
  async configure(
    caller: Caller,
    feedId: string,
    change: { customPrompt?: string | undefined; settings?: SubscriptionSettings | undefined },
  ): Promise<boolean> {
    if (!isObjectId(feedId)) return false;
    return await inTransaction(this.#options, async (db) => {
      const [row] = await db
        .select()
        .from(subscriptions)
        .where(and(activeOf(caller.userId), eq(subscriptions.feedId, feedId)))
        .for("update");
      if (!row) return false;
      const visible = await db
        .select({ id: feeds.id })
        .from(feeds)
        .where(and(eq(feeds.id, feedId), visibleTo(caller.tenantId)));
      if (visible.length === 0) return false;
      const customPrompt = change.customPrompt ?? row.customPrompt;
      const settings = change.settings === undefined ? row.settings : { ...row.settings, ...change.settings };
      await db.update(subscriptions).set({ customPrompt, settings }).where(eq(subscriptions.id, row.id));
      return true;
    });
  }
}

const activeOf = (userId: string) => and(eq(subscriptions.userId, userId), eq(subscriptions.isActive, true));
const visibleTo = (tenantId: string) => or(eq(feeds.isPublic, true), eq(feeds.tenantId, tenantId));

async function countOne(db: Db, tell: Tell, feedId: string, by: 1 | -1): Promise<void> {
  const [row] = await db
    .update(feeds)
    .set({ subscriberCount: sql`${feeds.subscriberCount} + ${by}` })
    .where(eq(feeds.id, feedId))
    .returning();
  if (!row) throw new Error("a locked feed is gone");
  // What others know of subscribers is whether there are any.
  const isTold = by === 1 ? row.subscriberCount === 1 : row.subscriberCount === 0;
  if (isTold) await tell("feed.subscriptions_changed", feedId, feedRecord(storedFeed(row)));
}

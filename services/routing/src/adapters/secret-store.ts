/**
 * Secrets an account keeps for its upstreams: set, list, delete. Setting one tells the registry every feed that refers to it, in the same
 * transaction. Tests: ../marketplace-secrets.int.test.ts.
 */
import { MAX_USER_SECRETS, type UserSecret } from "@headwater/protocol";
import { and, asc, count, eq, inArray } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type { FeedContent, Refused } from "../domain/feed-content.ts";
import { feedRecord } from "../domain/feed-view.ts";
import { type Resolved, resolveSecrets, secretNamesIn } from "../domain/secret-references.ts";
import { feeds, secretUses, userSecrets } from "./db-schema.ts";
import type { FeedVault } from "./feed-secrets.ts";
import { storedFeed } from "./feed-store.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";
import { lockSecrets, readSecrets, resolveFor, type SecretVault } from "./user-secrets.ts";

/** `feeds`: how many were told anew. */
export type SecretSet = { ok: true; secret: UserSecret; feeds: number } | { ok: false; code: "limit" } | Refused;

export class SecretStore {
  readonly #options: StoreOptions;
  readonly #vaults: { feeds: FeedVault; secrets: SecretVault };
  constructor(options: StoreOptions, vaults: { feeds: FeedVault; secrets: SecretVault }) {
    this.#options = options;
    this.#vaults = vaults;
  }

  async list(userId: string): Promise<UserSecret[]> {
    const rows = await drizzle(this.#options.pool)
      .select()
      .from(userSecrets)
      .where(eq(userSecrets.userId, userId))
      .orderBy(asc(userSecrets.name));
    return rows.map(viewOf);
  }

  /** Credentials of a feed that is not stored, with the account's secrets in them. */
  async resolve(userId: string, content: FeedContent): Promise<Resolved> {
    return await resolveFor(drizzle(this.#options.pool), this.#vaults.secrets, userId, content);
  }

  /** Creates or replaces. Refused when a feed that refers to it would pass a limit of feeds: then nothing has changed. */
  async set(userId: string, name: string, value: string): Promise<SecretSet> {
    return await inTransaction(this.#options, async (db, tell) => {
      await lockSecrets(db, userId, "exclusive");
      const [before] = await db.select().from(userSecrets).where(one(userId, name));
      if (!before) {
        const [held] = await db.select({ n: count() }).from(userSecrets).where(eq(userSecrets.userId, userId));
        if ((held?.n ?? 0) >= MAX_USER_SECRETS) return { ok: false, code: "limit" };
      }
      // Nobody refers to a new one, and the same value is no change for anybody.
      const isNews = before !== undefined && this.#vaults.secrets.open(userId, name, before.sealed) !== value;
      const changed = isNews ? await this.#resolveUsers(db, userId, name, value) : [];
      if (!Array.isArray(changed)) return changed;
      const now = this.#options.now();
      const kept = { sealed: this.#vaults.secrets.seal(userId, name, value), updatedAt: now };
      const [row] = await db
        .insert(userSecrets)
        .values({ ...kept, userId, name, createdAt: now })
        .onConflictDoUpdate({ target: [userSecrets.userId, userSecrets.name], set: kept })
        .returning();
      if (!row) throw new Error("the secret was not stored");
      for (const feed of changed) await this.#store(db, tell, feed);
      return { ok: true, secret: viewOf(row), feeds: changed.length };
    });
  }

  async remove(userId: string, name: string): Promise<"removed" | "missing" | "used"> {
    return await inTransaction(this.#options, async (db) => {
      await lockSecrets(db, userId, "exclusive");
      const used = await db
        .select({ feedId: secretUses.feedId })
        .from(secretUses)
        .where(and(eq(secretUses.userId, userId), eq(secretUses.name, name)))
        .limit(1);
      if (used.length > 0) return "used";
      const rows = await db.delete(userSecrets).where(one(userId, name)).returning({ name: userSecrets.name });
      return rows.length > 0 ? "removed" : "missing";
    });
  }

  /** Locks the feeds that refer to a secret. @returns what becomes of their credentials with its new value, or why that cannot be. */
  async #resolveUsers(db: Db, userId: string, name: string, value: string): Promise<ResolvedFeed[] | Refused> {
    const uses = db
      .select({ id: secretUses.feedId })
      .from(secretUses)
      .where(and(eq(secretUses.userId, userId), eq(secretUses.name, name)));
    const rows = await db.select().from(feeds).where(inArray(feeds.id, uses)).orderBy(asc(feeds.id)).for("update");
    const users = rows.flatMap((feed) => {
      const secrets = this.#vaults.feeds.open(feed.id, feed.sealed ?? undefined);
      const names = secretNamesIn(secrets);
      // Credentials that cannot be opened any more refer to nothing; their owner sets them again.
      return names.includes(name) ? [{ id: feed.id, settings: feed.settings, secrets, names }] : [];
    });
    const values = await readSecrets(db, this.#vaults.secrets, userId, new Set(users.flatMap(({ names }) => names)));
    values.set(name, value);
    const changed: ResolvedFeed[] = [];
    for (const user of users) {
      // With another secret that cannot be opened any more a feed stays as it is until that one is set, too.
      if (user.names.some((each) => !values.has(each))) continue;
      const resolved = resolveSecrets(user, values);
      if (!resolved.ok) return resolved;
      changed.push({ id: user.id, secrets: resolved.secrets });
    }
    return changed;
  }

  async #store(db: Db, tell: Tell, { id, secrets }: ResolvedFeed): Promise<void> {
    const [row] = await db
      .update(feeds)
      .set({ resolved: this.#vaults.feeds.seal(id, secrets) ?? null })
      .where(eq(feeds.id, id))
      .returning();
    if (!row) throw new Error("a locked feed is gone");
    await tell("feed.secret_replaced", id, feedRecord(storedFeed(row)));
  }
}

type ResolvedFeed = { id: string } & Pick<FeedContent, "secrets">;

function one(userId: string, name: string) {
  return and(eq(userSecrets.userId, userId), eq(userSecrets.name, name));
}

function viewOf({ name, createdAt, updatedAt }: typeof userSecrets.$inferSelect): UserSecret {
  return { name, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}

/**
 * Secrets an account keeps for its upstreams: set, list, delete. Setting one tells the registry every feed that refers to it, in the same
 * transaction. Tests: ../marketplace-secrets.int.test.ts.
 */
import { MAX_USER_SECRETS, type UserSecret } from "@headwater/protocol";
import { and, asc, count, eq, inArray, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type { FeedContent, Refused } from "../domain/feed-content.ts";
import { feedRecord, type StoredFeed } from "../domain/feed-view.ts";
import { type Resolved, resolveSecrets, secretNamesIn } from "../domain/secret-references.ts";
import { feeds, secretUses, userSecrets } from "./db-schema.ts";
import type { FeedVault } from "./feed-secrets.ts";
import { type FeedRow, storedFeed } from "./feed-store.ts";
import { type Db, inTransaction, type StoreOptions, type TellAll } from "./transaction.ts";
import { lockSecrets, readSecrets, resolveFor, type SecretVault } from "./user-secrets.ts";

/** `feeds`: how many were told anew. */
export type SecretSet = { ok: true; secret: UserSecret; feeds: number } | { ok: false; code: "limit" } | Refused;

/** Feeds that are read, sealed and written together. */
const FEEDS_AT_ONCE = 100;

/** A feed would pass a limit with the new value: ends the transaction. */
class DoesNotFit extends Error {
  override readonly name = "DoesNotFit";
  readonly refused: Refused;
  constructor(refused: Refused) {
    super(refused.message);
    this.refused = refused;
  }
}

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
    try {
      return await inTransaction(this.#options, async (db, _tell, tellAll) => {
        await lockSecrets(db, userId, "exclusive");
        const [before] = await db.select().from(userSecrets).where(one(userId, name));
        if (!before) {
          const [held] = await db.select({ n: count() }).from(userSecrets).where(eq(userSecrets.userId, userId));
          if ((held?.n ?? 0) >= MAX_USER_SECRETS) return { ok: false, code: "limit" };
        }
        const now = this.#options.now();
        const kept = { sealed: this.#vaults.secrets.seal(userId, name, value), updatedAt: now };
        const [row] = await db
          .insert(userSecrets)
          .values({ ...kept, userId, name, createdAt: now })
          .onConflictDoUpdate({ target: [userSecrets.userId, userSecrets.name], set: kept })
          .returning();
        if (!row) throw new Error("the secret was not stored");
        // Nobody refers to a new one, and the same value is no change for anybody.
        const isNews = before !== undefined && this.#vaults.secrets.open(userId, name, before.sealed) !== value;
        const changed = isNews ? await this.#renew(db, tellAll, userId, name) : 0;
        return { ok: true, secret: viewOf(row), feeds: changed };
      });
    } catch (error) {
      if (error instanceof DoesNotFit) return error.refused;
      throw error;
    }
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

  /**
   * Seals and tells the feeds that refer to a secret with what it is now. @returns how many.
   * @throws DoesNotFit
   */
  async #renew(db: Db, tellAll: TellAll, userId: string, name: string): Promise<number> {
    const uses = db
      .select({ id: secretUses.feedId })
      .from(secretUses)
      .where(and(eq(secretUses.userId, userId), eq(secretUses.name, name)));
    const locked = await db.select({ id: feeds.id }).from(feeds).where(inArray(feeds.id, uses)).orderBy(asc(feeds.id)).for("update");
    let changed = 0;
    for (let at = 0; at < locked.length; at += FEEDS_AT_ONCE) {
      const ids = locked.slice(at, at + FEEDS_AT_ONCE).map(({ id }) => id);
      const renewed = await this.#resolveAll(db, userId, name, await db.select().from(feeds).where(inArray(feeds.id, ids)));
      if (renewed.length === 0) continue;
      const boxes = renewed.map(({ id, resolved }) => ({ id, resolved }));
      await db.execute(
        sql`UPDATE ${feeds} SET resolved = box.resolved FROM jsonb_to_recordset(${JSON.stringify(boxes)}::jsonb) AS box(id text, resolved jsonb) WHERE ${feeds.id} = box.id`,
      );
      await tellAll(
        "feed.secret_replaced",
        renewed.map((feed) => ({ id: feed.id, data: feedRecord(feed) })),
      );
      changed += renewed.length;
    }
    return changed;
  }

  async #resolveAll(db: Db, userId: string, name: string, rows: readonly FeedRow[]): Promise<StoredFeed[]> {
    const written = rows.map((row) => {
      const secrets = this.#vaults.feeds.open(row.id, row.sealed ?? undefined);
      return { row, settings: row.settings, secrets, names: secretNamesIn(secrets) };
    });
    const values = await readSecrets(db, this.#vaults.secrets, userId, new Set(written.flatMap(({ names }) => names)));
    return written.flatMap((feed) => {
      // Credentials that cannot be opened any more refer to nothing, and with another secret that cannot be, a feed stays as it is: their owner
      // sets them again.
      if (!feed.names.includes(name) || feed.names.some((each) => !values.has(each))) return [];
      const resolved = resolveSecrets(feed, values);
      if (!resolved.ok) throw new DoesNotFit(resolved);
      return [{ ...storedFeed(feed.row), resolved: this.#vaults.feeds.seal(feed.row.id, resolved.secrets) }];
    });
  }
}

function one(userId: string, name: string) {
  return and(eq(userSecrets.userId, userId), eq(userSecrets.name, name));
}

function viewOf({ name, createdAt, updatedAt }: typeof userSecrets.$inferSelect): UserSecret {
  return { name, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() };
}

/** API keys that an account makes for itself. A name is taken only while its key is active. Tests: ../account-keys.int.test.ts. */
import type { KeyPrefix, KeyRecord, KeyType } from "@headwater/protocol";
import { and, desc, eq, gt, isNotNull, isNull, lte, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { hintOf } from "../domain/commands.ts";
import type { StoredKey } from "../domain/credential-table.ts";
import { toKey } from "./auth-store.ts";
import { keys, users } from "./db-schema.ts";
import { digestOf, lookupOf, newKey, newObjectId } from "./secrets.ts";
import { type Db, inTransaction, type StoreOptions, type Tell, violatedIndex } from "./transaction.ts";

export type KeyRow = typeof keys.$inferSelect;

export interface NewAccountKey {
  name: string;
  prefix: KeyPrefix;
  type: KeyType;
  scopes: string[];
  domains: string[];
  expiresAt: Date | null;
}

export type KeyMade =
  | { ok: true; key: string; row: KeyRow; stored: StoredKey; retired: KeyRecord[] }
  | { ok: false; code: "KEY_NAME_TAKEN" | "KEY_LIMIT_REACHED" | "USER_NOT_FOUND" };

export class AccountKeyStore {
  readonly #options: StoreOptions;
  constructor(options: StoreOptions) {
    this.#options = options;
  }

  async create(owner: { userId: string; tenantId: string; maxKeys: number }, command: NewAccountKey): Promise<KeyMade> {
    const now = this.#options.now();
    try {
      return await inTransaction(this.#options, async (db, tell): Promise<KeyMade> => {
        // One after the other per account: two keys at once must not both be the last one allowed.
        const [user] = await db.select({ id: users.id }).from(users).where(eq(users.id, owner.userId)).for("update");
        if (!user) return { ok: false, code: "USER_NOT_FOUND" };
        const retired = await this.#retireExpired(db, tell, owner.userId, now);
        const active = await db
          .select({ name: keys.name })
          .from(keys)
          .where(and(eq(keys.userId, owner.userId), isNull(keys.revokedAt)));
        if (active.some((row) => row.name === command.name)) return { ok: false, code: "KEY_NAME_TAKEN" };
        if (active.length >= owner.maxKeys) return { ok: false, code: "KEY_LIMIT_REACHED" };
        const { prefix, ...values } = command;
        const key = newKey(prefix);
        const [row] = await db
          .insert(keys)
          .values({
            ...values,
            id: newObjectId(now.getTime()),
            tenantId: owner.tenantId,
            userId: owner.userId,
            hint: hintOf(key, prefix),
            lastChars: key.slice(-8),
            lookup: lookupOf(this.#options.pepper, digestOf(key)),
            createdAt: now,
          })
          .returning();
        if (!row) throw new Error("the key was not stored");
        const stored = toKey(row);
        await tell("key.created", "key", row.id, stored.record);
        return { ok: true, key, row, stored, retired };
      });
    } catch (error) {
      if (violatedIndex(error) === "keys_user_name") return { ok: false, code: "KEY_NAME_TAKEN" };
      throw error;
    }
  }

  /** Active ones, newest first; a key made by an operator belongs to the tenant and is listed too. */
  async list(tenantId: string): Promise<KeyRow[]> {
    return await drizzle(this.#options.pool)
      .select()
      .from(keys)
      .where(and(eq(keys.tenantId, tenantId), isNull(keys.revokedAt), or(isNull(keys.expiresAt), gt(keys.expiresAt, this.#options.now()))))
      .orderBy(desc(keys.createdAt), desc(keys.id));
  }

  /** @returns undefined when the tenant has no such key; a revoked one stays as it is. */
  async revoke(tenantId: string, id: string): Promise<KeyRecord | undefined> {
    return await inTransaction(this.#options, async (db, tell) => {
      const [row] = await db
        .select()
        .from(keys)
        .where(and(eq(keys.id, id), eq(keys.tenantId, tenantId)))
        .for("update");
      if (!row || row.revokedAt !== null) return row && toKey(row).record;
      return await retire(db, tell, row, this.#options.now());
    });
  }

  /** An expired key opens nothing; revoking it frees its name. */
  async #retireExpired(db: Db, tell: Tell, userId: string, now: Date): Promise<KeyRecord[]> {
    const rows = await db
      .select()
      .from(keys)
      .where(and(eq(keys.userId, userId), isNull(keys.revokedAt), isNotNull(keys.expiresAt), lte(keys.expiresAt, now)));
    const retired: KeyRecord[] = [];
    for (const row of rows) retired.push(await retire(db, tell, row, now));
    return retired;
  }
}

async function retire(db: Db, tell: Tell, row: KeyRow, revokedAt: Date): Promise<KeyRecord> {
  await db.update(keys).set({ revokedAt }).where(eq(keys.id, row.id));
  const { record } = toKey({ ...row, revokedAt });
  await tell("key.revoked", "key", record.id, record);
  return record;
}

/** Second factors: sealed secrets, the last used step, backup codes as keyed hashes. Tests: ../login.int.test.ts. */
import type { SealedBox } from "@headwater/protocol";
import { and, count, eq, isNotNull, isNull, lt, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { backupCodes, users } from "./db-schema.ts";
import { maskOf, newBackupCode } from "./secrets.ts";
import { type Db, inTransaction, type StoreOptions } from "./transaction.ts";

const CODES = 10;

export class TwoFactorStore {
  readonly #options: StoreOptions;
  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** @returns false when the account has a second factor already. */
  async setPending(userId: string, secret: SealedBox): Promise<boolean> {
    const rows = await drizzle(this.#options.pool)
      .update(users)
      .set({ totpPending: secret })
      .where(and(eq(users.id, userId), isNull(users.totpSecret)))
      .returning({ id: users.id });
    return rows.length > 0;
  }

  /** The pending secret becomes the secret. @returns backup codes, or undefined when it is no longer the one that was looked at. */
  async enable(userId: string, expected: SealedBox, step: number): Promise<string[] | undefined> {
    return await inTransaction(this.#options, async (db) => {
      const [pending] = await db.select({ secret: users.totpPending }).from(users).where(eq(users.id, userId)).for("update");
      // Every sealing has an initialisation vector of its own.
      if (pending?.secret?.iv !== expected.iv) return undefined;
      await db.update(users).set({ totpSecret: pending.secret, totpPending: null, totpLastStep: step }).where(eq(users.id, userId));
      return await this.#replaceCodes(db, userId);
    });
  }

  async disable(userId: string): Promise<void> {
    await inTransaction(this.#options, async (db) => {
      await db.update(users).set({ totpSecret: null, totpPending: null, totpLastStep: null }).where(eq(users.id, userId));
      await db.delete(backupCodes).where(eq(backupCodes.userId, userId));
    });
  }

  /** @returns false when this step or a later one was used before. */
  async useStep(userId: string, step: number): Promise<boolean> {
    const rows = await drizzle(this.#options.pool)
      .update(users)
      .set({ totpLastStep: step })
      .where(and(eq(users.id, userId), isNotNull(users.totpSecret), or(isNull(users.totpLastStep), lt(users.totpLastStep, step))))
      .returning({ id: users.id });
    return rows.length > 0;
  }

  /** @returns false for an unknown or used code. */
  async useBackupCode(userId: string, code: string): Promise<boolean> {
    const rows = await drizzle(this.#options.pool)
      .update(backupCodes)
      .set({ usedAt: this.#options.now() })
      .where(and(eq(backupCodes.userId, userId), eq(backupCodes.hash, this.#hashOf(userId, code)), isNull(backupCodes.usedAt)))
      .returning({ hash: backupCodes.hash });
    return rows.length > 0;
  }

  async unusedCodes(userId: string): Promise<number> {
    const [row] = await drizzle(this.#options.pool)
      .select({ n: count() })
      .from(backupCodes)
      .where(and(eq(backupCodes.userId, userId), isNull(backupCodes.usedAt)));
    return row?.n ?? 0;
  }

  /** The old codes are void. */
  async regenerate(userId: string): Promise<string[]> {
    return await inTransaction(this.#options, (db) => this.#replaceCodes(db, userId));
  }

  async #replaceCodes(db: Db, userId: string): Promise<string[]> {
    const codes = new Set<string>();
    while (codes.size < CODES) codes.add(newBackupCode());
    await db.delete(backupCodes).where(eq(backupCodes.userId, userId));
    await db.insert(backupCodes).values([...codes].map((code) => ({ userId, hash: this.#hashOf(userId, code) })));
    return [...codes];
  }

  #hashOf(userId: string, code: string): string {
    return maskOf(this.#options.pepper, "backup-code", `${userId}\0${code}`);
  }
}

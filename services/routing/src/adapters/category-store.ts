/** Categories an account made for itself. Tests: ../marketplace-settings.int.test.ts. */
import { type Category, MAX_USER_CATEGORIES } from "@headwater/protocol";
import { and, asc, count, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { userCategories } from "./db-schema.ts";
import { inTransaction, type StoreOptions } from "./transaction.ts";

export class CategoryStore {
  readonly #options: StoreOptions;
  constructor(options: StoreOptions) {
    this.#options = options;
  }

  async list(userId: string): Promise<Category[]> {
    const rows = await drizzle(this.#options.pool)
      .select()
      .from(userCategories)
      .where(eq(userCategories.userId, userId))
      .orderBy(asc(userCategories.createdAt), asc(userCategories.key));
    return rows.map(viewOf);
  }

  async create(userId: string, category: { key: string; label: string }): Promise<Category | "exists" | "limit"> {
    return await inTransaction(this.#options, async (db) => {
      await db.execute(sql`SELECT pg_advisory_xact_lock(hashtext(${`routing.categories.${userId}`}))`);
      const [held] = await db.select({ n: count() }).from(userCategories).where(eq(userCategories.userId, userId));
      if ((held?.n ?? 0) >= MAX_USER_CATEGORIES) return "limit";
      const [row] = await db
        .insert(userCategories)
        .values({ ...category, userId, createdAt: this.#options.now() })
        .onConflictDoNothing()
        .returning();
      return row ? viewOf(row) : "exists";
    });
  }

  async rename(userId: string, key: string, label: string): Promise<Category | undefined> {
    const [row] = await drizzle(this.#options.pool).update(userCategories).set({ label }).where(this.#one(userId, key)).returning();
    return row && viewOf(row);
  }

  async remove(userId: string, key: string): Promise<boolean> {
    const rows = await drizzle(this.#options.pool).delete(userCategories).where(this.#one(userId, key)).returning();
    return rows.length > 0;
  }

  #one(userId: string, key: string) {
    return and(eq(userCategories.userId, userId), eq(userCategories.key, key));
  }
}

function viewOf({ key, label }: { key: string; label: string }): Category {
  return { key, label, scope: "user" };
}

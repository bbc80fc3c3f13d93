/**
 * LLM tokens of a tenant by month: added atomically, each addition once, whoever repeats it. Tests: ../account-keys.int.test.ts.
 */
import { withTransaction } from "@headwater/postgres";
import { limitsOf, type TokenUsage, type UsageRequest } from "@headwater/protocol";
import { and, eq, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { monthOf, tokenUsageOf } from "../domain/account-rules.ts";
import { toTenant } from "./auth-store.ts";
import { tenants, tokenUsage, tokenUsageAdditions } from "./db-schema.ts";
import type { StoreOptions } from "./transaction.ts";

export interface UsageStoreOptions extends StoreOptions {
  /** Tokens a month for everybody without a limit of their own; default: the plan's. */
  quotaPerMonth: number | undefined;
}

/** Repeats come within seconds; a week is for whoever was cut off for long. */
const ADDITION_KEPT_MS = 7 * 24 * 3_600_000;

export class UsageStore {
  readonly #options: UsageStoreOptions;
  constructor(options: UsageStoreOptions) {
    this.#options = options;
  }

  /** @returns usage after the addition; undefined for a tenant that is not. */
  async usage(tenantId: string, add?: UsageRequest["add"]): Promise<TokenUsage | undefined> {
    const now = this.#options.now();
    const month = monthOf(now.getTime());
    return await withTransaction(this.#options.pool, async (client) => {
      const db = drizzle(client);
      const [row] = await db.select().from(tenants).where(eq(tenants.id, tenantId));
      if (!row) return undefined;
      if (add) {
        const isNew = await db.insert(tokenUsageAdditions).values({ tenantId, id: add.id, at: now }).onConflictDoNothing().returning();
        if (isNew.length > 0) {
          await db
            .insert(tokenUsage)
            .values({ tenantId, month, tokens: add.tokens })
            .onConflictDoUpdate({
              target: [tokenUsage.tenantId, tokenUsage.month],
              set: { tokens: sql`${tokenUsage.tokens} + ${add.tokens}` },
            });
        }
      }
      const [used] = await db
        .select({ tokens: tokenUsage.tokens })
        .from(tokenUsage)
        .where(and(eq(tokenUsage.tenantId, tenantId), eq(tokenUsage.month, month)));
      const tenant = toTenant(row);
      return tokenUsageOf({
        nowMs: now.getTime(),
        createdAt: tenant.createdAt,
        tokensUsed: used?.tokens ?? 0,
        limit: tenant.limits?.llmTokensPerMonth ?? this.#options.quotaPerMonth ?? limitsOf(tenant.plan).llmTokensPerMonth,
        overdraftAllowed: row.overdraftAllowed,
      });
    });
  }

  async prune(): Promise<void> {
    const before = new Date(this.#options.now().getTime() - ADDITION_KEPT_MS);
    await drizzle(this.#options.pool).delete(tokenUsageAdditions).where(lt(tokenUsageAdditions.at, before));
  }
}

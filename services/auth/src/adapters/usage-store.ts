/**
 * LLM tokens of a tenant by month: added atomically, each addition once, whoever repeats it. What is asked while a statement runs goes into the
 * next one together, because all additions of a tenant meet in one row. Tests: ../account-keys.int.test.ts.
 */
import { limitsOf, type TokenUsage, type UsageRequest } from "@headwater/protocol";
import { inArray, lt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { monthOf, tokenUsageOf } from "../domain/account-rules.ts";
import { toTenant } from "./auth-store.ts";
import { tenants, tokenUsageAdditions } from "./db-schema.ts";
import type { StoreOptions } from "./transaction.ts";

export interface UsageStoreOptions extends StoreOptions {
  /** Tokens a month for everybody without a limit of their own; default: the plan's. */
  quotaPerMonth: number | undefined;
}

/** Repeats come within seconds; a week is for whoever was cut off for long. */
const ADDITION_KEPT_MS = 7 * 24 * 3_600_000;
/** A statement for more questions than this is split. */
const MAX_BATCH = 500;

interface Asked {
  tenantId: string;
  add: UsageRequest["add"];
  resolve(usage: TokenUsage | undefined): void;
  reject(error: unknown): void;
}

/**
 * Adds what is new and reads the month's counters; $1 ids of tenants asked about, $2–$4 additions, $5 now, $6 month. Rows are taken in one order
 * everywhere, or two instances could wait for each other's.
 */
const ADD_AND_READ = `
  WITH added AS (
    INSERT INTO auth.token_usage_additions (tenant_id, id, at)
    SELECT asked.tenant_id, asked.id, $5 FROM unnest($2::text[], $3::text[]) AS asked (tenant_id, id)
      JOIN auth.tenants ON tenants.id = asked.tenant_id
     ORDER BY asked.tenant_id, asked.id
    ON CONFLICT DO NOTHING RETURNING tenant_id, id
  ), counted AS (
    INSERT INTO auth.token_usage AS known (tenant_id, month, tokens)
    SELECT tenant_id, $6, sum(asked.tokens)
      FROM added JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS asked (tenant_id, id, tokens) USING (tenant_id, id)
     GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id, month) DO UPDATE SET tokens = known.tokens + excluded.tokens RETURNING tenant_id, tokens
  )
  SELECT asked.tenant_id, coalesce(counted.tokens, before.tokens, 0) AS tokens
    FROM unnest($1::text[]) AS asked (tenant_id)
    LEFT JOIN counted USING (tenant_id)
    LEFT JOIN auth.token_usage AS before ON before.tenant_id = asked.tenant_id AND before.month = $6`;

export class UsageStore {
  readonly #options: UsageStoreOptions;
  readonly #waiting: Asked[] = [];
  #isRunning = false;

  constructor(options: UsageStoreOptions) {
    this.#options = options;
  }

  /** @returns usage after the addition; undefined for a tenant that is not. */
  usage(tenantId: string, add?: UsageRequest["add"]): Promise<TokenUsage | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tenantId, add, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // Questions of the same turn come together.
      queueMicrotask(() => void this.#drain());
    });
  }

  async prune(): Promise<void> {
    const before = new Date(this.#options.now().getTime() - ADDITION_KEPT_MS);
    await drizzle(this.#options.pool).delete(tokenUsageAdditions).where(lt(tokenUsageAdditions.at, before));
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      try {
        const usages = await this.#answer(batch);
        for (const { tenantId, resolve } of batch) resolve(usages.get(tenantId));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isRunning = false;
  }

  async #answer(batch: readonly Asked[]): Promise<Map<string, TokenUsage>> {
    const { pool, quotaPerMonth } = this.#options;
    const now = this.#options.now();
    const ids = [...new Set(batch.map(({ tenantId }) => tenantId))];
    // An addition that is asked for twice at once is one.
    const additions = new Map(
      batch.flatMap(({ tenantId, add }) => (add ? [[JSON.stringify([tenantId, add.id]), { tenantId, ...add }]] : [])),
    );
    const added = [...additions.values()];
    const { rows } = await pool.query<{ tenant_id: string; tokens: string }>(ADD_AND_READ, [
      ids,
      added.map(({ tenantId }) => tenantId),
      added.map(({ id }) => id),
      added.map(({ tokens }) => tokens),
      now,
      monthOf(now.getTime()),
    ]);
    const used = new Map(rows.map(({ tenant_id, tokens }) => [tenant_id, Number(tokens)]));
    const found = await drizzle(pool).select().from(tenants).where(inArray(tenants.id, ids));
    return new Map(
      found.map((row) => {
        const tenant = toTenant(row);
        const usage = tokenUsageOf({
          nowMs: now.getTime(),
          createdAt: tenant.createdAt,
          tokensUsed: used.get(row.id) ?? 0,
          limit: tenant.limits?.llmTokensPerMonth ?? quotaPerMonth ?? limitsOf(tenant.plan).llmTokensPerMonth,
          overdraftAllowed: row.overdraftAllowed,
        });
        return [row.id, usage];
      }),
    );
  }
}

/**
 * Tables of the PostgreSQL schema `intelligence`, for drizzle. Change them here, then `pnpm exec drizzle-kit generate` in the service's folder
 * and commit the SQL. Holds no text of a feed, a question or an answer.
 */
import { sql } from "drizzle-orm";
import { bigint, index, integer, pgSchema, text, timestamp } from "drizzle-orm/pg-core";

export const intelligence = pgSchema("intelligence");

const time = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

/** `lost`: its owner vanished before it told how the run ended. */
export const RUN_OUTCOMES = ["answered", "failed", "cancelled", "lost"] as const;
export type RunOutcomeName = (typeof RUN_OUTCOMES)[number];

/** Automatic analyses: a row is made before the provider is asked, and completed after. */
export const runs = intelligence.table(
  "runs",
  {
    /** Hash of feed, topic and tick: the same analysis has the same row whoever makes it. */
    id: text("id").primaryKey(),
    lane: integer("lane").notNull(),
    /** Of the lane's lease: a row of a lower one belongs to an owner that was replaced. */
    epoch: bigint("epoch", { mode: "number" }).notNull(),
    feedId: text("feed_id").notNull(),
    /** Who pays. */
    tenantId: text("tenant_id").notNull(),
    tick: text("tick").notNull(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
    reservedAt: time("reserved_at").notNull().defaultNow(),
    settledAt: time("settled_at"),
    outcome: text("outcome").$type<RunOutcomeName>(),
    /** To be billed, however it ended; 0 for a provider that costs nothing. */
    tokens: integer("tokens").notNull().default(0),
    durationMs: integer("duration_ms"),
    /** When auth had counted the tokens; null while it has not, or when there are none. */
    billedAt: time("billed_at"),
  },
  (table) => [
    index("runs_open").on(table.lane, table.reservedAt).where(sql`settled_at IS NULL`),
    index("runs_unbilled").on(table.settledAt).where(sql`billed_at IS NULL AND tokens > 0`),
    index("runs_age").on(table.reservedAt),
  ],
);

/**
 * Tables of the PostgreSQL schema `auth`, for drizzle. Change them here, then `pnpm exec drizzle-kit generate` in this folder and commit
 * the SQL. Accounts with passwords (users, login sessions, second factors) become tables of their own that point at `tenants`.
 */
import { bigserial, boolean, index, jsonb, pgSchema, text, timestamp, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import type { PlanLimits, SiteSettings } from "@headwater/protocol";

export const auth = pgSchema("auth");

const createdAt = () => timestamp("created_at", { withTimezone: true }).notNull();

export const tenants = auth.table("tenants", {
  id: text("id").primaryKey(),
  slug: text("slug").notNull().unique(),
  name: text("name").notNull(),
  plan: text("plan").notNull(),
  limits: jsonb("limits").$type<Partial<PlanLimits>>(),
  createdAt: createdAt(),
});

export const sites = auth.table(
  "sites",
  {
    id: text("id").primaryKey(),
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    domains: text("domains").array().notNull(),
    settings: jsonb("settings").$type<SiteSettings>().notNull(),
    isDefault: boolean("is_default").notNull(),
    createdAt: createdAt(),
  },
  (table) => [uniqueIndex("sites_tenant_name").on(table.tenantId, table.name)],
);

export const keys = auth.table(
  "keys",
  {
    id: text("id").primaryKey(),
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    type: text("type").notNull(),
    hint: text("hint").notNull(),
    /** HMAC-SHA256(pepper, SHA-256(key)), hex: without the pepper a dump of this table is of no use. */
    lookup: text("lookup").notNull().unique(),
    scopes: text("scopes").array().notNull(),
    domains: text("domains").array().notNull(),
    createdAt: createdAt(),
    expiresAt: timestamp("expires_at", { withTimezone: true }),
    revokedAt: timestamp("revoked_at", { withTimezone: true }),
    lastUsedAt: timestamp("last_used_at", { withTimezone: true }),
  },
  (table) => [index("keys_tenant").on(table.tenantId)],
);

export const outbox = auth.table(
  "outbox",
  {
    position: bigserial("position", { mode: "number" }).primaryKey(),
    id: uuid("id").notNull().unique(),
    subject: text("subject").notNull(),
    payload: text("payload").notNull(),
    createdAt: createdAt().defaultNow(),
    publishedAt: timestamp("published_at", { withTimezone: true }),
  },
  (table) => [index("outbox_pending").on(table.publishedAt, table.position)],
);

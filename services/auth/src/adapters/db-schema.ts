/**
 * Tables of the PostgreSQL schema `auth`, for drizzle. Change them here, then `pnpm exec drizzle-kit generate` in this folder and commit
 * the SQL. What is secret is here as a keyed hash (keys, backup codes), a password hash, or sealed (TOTP secrets).
 */
import { bigint, bigserial, boolean, index, jsonb, pgSchema, primaryKey, text, timestamp, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { sql } from "drizzle-orm";
import type { PlanLimits, SealedBox, SiteSettings } from "@headwater/protocol";

export const auth = pgSchema("auth");

const time = (name: string) => timestamp(name, { withTimezone: true });
const createdAt = () => time("created_at").notNull();

export const tenants = auth.table("tenants", {
  id: text("id").primaryKey(),
  slug: text("slug").notNull().unique(),
  name: text("name").notNull(),
  plan: text("plan").notNull(),
  limits: jsonb("limits").$type<Partial<PlanLimits>>(),
  /** The account that registered it; null for a tenant made by an operator. */
  ownerId: text("owner_id"),
  /** May the month's LLM tokens go over the limit? */
  overdraftAllowed: boolean("overdraft_allowed").notNull().default(true),
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

export const users = auth.table("users", {
  /** 24 hex characters. */
  id: text("id").primaryKey(),
  tenantId: text("tenant_id")
    .notNull()
    .references(() => tenants.id, { onDelete: "cascade" }),
  /** Trimmed, lower case. The index decides who was first. */
  email: text("email").notNull().unique(),
  name: text("name").notNull(),
  passwordHash: text("password_hash").notNull(),
  createdAt: createdAt(),
  lastLoginAt: time("last_login_at"),
  /** Null = no second factor. */
  totpSecret: jsonb("totp_secret").$type<SealedBox>(),
  /** Between setup and enable. */
  totpPending: jsonb("totp_pending").$type<SealedBox>(),
  /** The newest 30 s step whose code was used: no code works twice. */
  totpLastStep: bigint("totp_last_step", { mode: "number" }),
});

const userId = () =>
  text("user_id")
    .notNull()
    .references(() => users.id, { onDelete: "cascade" });

export const backupCodes = auth.table(
  "backup_codes",
  {
    userId: userId(),
    /** HMAC-SHA256(pepper, user and code), hex. */
    hash: text("hash").notNull(),
    usedAt: time("used_at"),
  },
  (table) => [primaryKey({ columns: [table.userId, table.hash] })],
);

export const sessions = auth.table(
  "sessions",
  {
    /** `sid` of the login token, 24 hex characters. */
    id: text("id").primaryKey(),
    userId: userId(),
    tenantId: text("tenant_id").notNull(),
    userAgent: text("user_agent").notNull(),
    ipAddress: text("ip_address").notNull(),
    createdAt: createdAt(),
    lastActiveAt: time("last_active_at").notNull(),
    expiresAt: time("expires_at").notNull(),
    revokedAt: time("revoked_at"),
    revokedReason: text("revoked_reason"),
  },
  (table) => [index("sessions_user").on(table.userId, table.createdAt), index("sessions_expiry").on(table.expiresAt)],
);

export const loginActivity = auth.table(
  "login_activity",
  {
    id: text("id").primaryKey(),
    userId: userId(),
    ipAddress: text("ip_address").notNull(),
    userAgent: text("user_agent").notNull(),
    success: boolean("success").notNull(),
    at: time("at").notNull(),
  },
  (table) => [index("login_activity_user").on(table.userId, table.at), index("login_activity_at").on(table.at)],
);

/** Recent failed (or not yet decided) attempts, for lockout. One row per account, also for e-mails nobody has. */
export const attempts = auth.table(
  "attempts",
  {
    /** HMAC-SHA256(pepper, what is guarded), hex. */
    key: text("key").primaryKey(),
    failures: timestamp("failures", { withTimezone: true }).array().notNull(),
    lastAt: time("last_at").notNull(),
  },
  (table) => [index("attempts_last").on(table.lastAt)],
);

/** LLM tokens by month: the month is part of the key, so that nothing is lost at its end. */
export const tokenUsage = auth.table(
  "token_usage",
  {
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.id, { onDelete: "cascade" }),
    /** `YYYY-MM`, UTC. */
    month: text("month").notNull(),
    tokens: bigint("tokens", { mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.month] })],
);

/** Additions already counted, kept long enough for any repeat of the question. */
export const tokenUsageAdditions = auth.table(
  "token_usage_additions",
  {
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.id, { onDelete: "cascade" }),
    id: text("id").notNull(),
    at: time("at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.tenantId, table.id] }), index("token_usage_additions_at").on(table.at)],
);

export const keys = auth.table(
  "keys",
  {
    id: text("id").primaryKey(),
    tenantId: text("tenant_id")
      .notNull()
      .references(() => tenants.id, { onDelete: "cascade" }),
    /** The account that made it; null for a key made by an operator. */
    userId: text("user_id").references(() => users.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    type: text("type").notNull(),
    hint: text("hint").notNull(),
    /** The final 8 characters, shown in lists. */
    lastChars: text("last_chars").notNull().default(""),
    /** HMAC-SHA256(pepper, SHA-256(key)), hex: without the pepper a dump of this table is of no use. */
    lookup: text("lookup").notNull().unique(),
    scopes: text("scopes").array().notNull(),
    domains: text("domains").array().notNull(),
    createdAt: createdAt(),
    expiresAt: timestamp("expires_at", { withTimezone: true }),
    revokedAt: timestamp("revoked_at", { withTimezone: true }),
    lastUsedAt: timestamp("last_used_at", { withTimezone: true }),
  },
  (table) => [
    index("keys_tenant").on(table.tenantId),
    uniqueIndex("keys_user_name").on(table.userId, table.name).where(sql`${table.revokedAt} IS NULL`),
  ],
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

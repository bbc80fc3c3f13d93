/**
 * Tables of the PostgreSQL schema `routing`, for drizzle. Change them here, then `pnpm exec drizzle-kit generate` in this folder and commit
 * the SQL. Upstream credentials are here sealed only.
 */
import type { SealedBox } from "@headwater/protocol";
import {
  bigserial,
  boolean,
  foreignKey,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { FeedSettings } from "../domain/feed-content.ts";

export const routing = pgSchema("routing");

const time = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });

export const feeds = routing.table(
  "feeds",
  {
    /** 24 hex characters. */
    id: text("id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    userId: text("user_id").notNull(),
    /** Display name of the owner when the feed was made. */
    ownerName: text("owner_name").notNull(),
    name: text("name").notNull(),
    description: text("description").notNull(),
    url: text("url").notNull(),
    category: text("category").notNull(),
    isActive: boolean("is_active").notNull(),
    isVerified: boolean("is_verified").notNull().default(false),
    isPublic: boolean("is_public").notNull(),
    feedType: text("feed_type").notNull().default("user"),
    tags: text("tags").array(),
    /** Active subscriptions; changed in the transaction that changes one. */
    subscriberCount: integer("subscriber_count").notNull().default(0),
    settings: jsonb("settings").$type<FeedSettings>().notNull(),
    /** FeedSecrets under ENCRYPTION_KEY, context `feed:<id>`; null = none. */
    sealed: jsonb("sealed").$type<SealedBox>(),
    /** The same with secrets in place of their references, as the registry is told; null = no reference. Follows `user_secrets`. */
    resolved: jsonb("resolved").$type<SealedBox>(),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
    lastActiveAt: time("last_active_at"),
  },
  (table) => [
    index("feeds_tenant").on(table.tenantId, table.createdAt),
    index("feeds_newest").on(table.isPublic, table.createdAt, table.id),
    index("feeds_popular").on(table.isPublic, table.subscriberCount, table.createdAt),
  ],
);

export const subscriptions = routing.table(
  "subscriptions",
  {
    id: text("id").primaryKey(),
    userId: text("user_id").notNull(),
    feedId: text("feed_id")
      .notNull()
      .references(() => feeds.id, { onDelete: "cascade" }),
    subscribedAt: time("subscribed_at").notNull(),
    isActive: boolean("is_active").notNull(),
    customPrompt: text("custom_prompt"),
    settings: jsonb("settings").$type<SubscriptionSettings>(),
  },
  (table) => [uniqueIndex("subscriptions_user_feed").on(table.userId, table.feedId), index("subscriptions_feed").on(table.feedId)],
);
export interface SubscriptionSettings {
  notifications?: boolean | undefined;
  autoConnect?: boolean | undefined;
}

/** Categories an account made for itself. */
export const userCategories = routing.table(
  "user_categories",
  {
    userId: text("user_id").notNull(),
    key: text("key").notNull(),
    label: text("label").notNull(),
    createdAt: time("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.key] })],
);

/** Secrets of an account, to which the credentials of its feeds refer by name. */
export const userSecrets = routing.table(
  "user_secrets",
  {
    userId: text("user_id").notNull(),
    name: text("name").notNull(),
    /** The value under ENCRYPTION_KEY, context `secret:<user id>:<name>`. */
    sealed: jsonb("sealed").$type<SealedBox>().notNull(),
    createdAt: time("created_at").notNull(),
    updatedAt: time("updated_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.name] })],
);

/** Which feed refers to which secret of its owner. */
export const secretUses = routing.table(
  "secret_uses",
  {
    feedId: text("feed_id")
      .notNull()
      .references(() => feeds.id, { onDelete: "cascade" }),
    userId: text("user_id").notNull(),
    name: text("name").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.feedId, table.name] }),
    foreignKey({ columns: [table.userId, table.name], foreignColumns: [userSecrets.userId, userSecrets.name] }),
    index("secret_uses_secret").on(table.userId, table.name),
  ],
);

export const outbox = routing.table(
  "outbox",
  {
    position: bigserial("position", { mode: "number" }).primaryKey(),
    id: uuid("id").notNull().unique(),
    subject: text("subject").notNull(),
    payload: text("payload").notNull(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
    publishedAt: timestamp("published_at", { withTimezone: true }),
  },
  (table) => [index("outbox_pending").on(table.publishedAt, table.position)],
);

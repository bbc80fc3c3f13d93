/**
 * Lists of feeds: newest, popular, search, a tenant's own. What is searched for is literal text, never a pattern. Tests:
 * ../marketplace-lists.int.test.ts.
 */
import { and, desc, eq, or, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import type { StoredFeed } from "../domain/feed-view.ts";
import { feeds } from "./db-schema.ts";
import { storedFeed } from "./feed-store.ts";
import type { StoreOptions } from "./transaction.ts";

/** Place in the list of newest feeds: the feed before which it goes on. */
export interface ListPlace {
  createdAt: Date;
  id: string;
}

export interface ListFilter {
  category?: string | undefined;
  /** Literal text in name, description or a tag, in any letter case. */
  q?: string | undefined;
  limit: number;
}

const isPublic = eq(feeds.isPublic, true);

export class FeedLists {
  readonly #db: ReturnType<typeof drizzle>;
  constructor(options: Pick<StoreOptions, "pool">) {
    this.#db = drizzle(options.pool);
  }

  /** Public feeds, newest first; one more than `limit` says that there are more. */
  async newest(filter: ListFilter, after?: ListPlace): Promise<StoredFeed[]> {
    const rest = after && sql`(${feeds.createdAt}, ${feeds.id}) < (${after.createdAt.toISOString()}::timestamptz, ${after.id})`;
    return await this.#list(and(isPublic, ...filters(filter), rest), [desc(feeds.createdAt), desc(feeds.id)], filter.limit + 1);
  }

  async popular(limit: number): Promise<StoredFeed[]> {
    return await this.#list(isPublic, [desc(feeds.subscriberCount), desc(feeds.createdAt), desc(feeds.id)], limit);
  }

  /** Public feeds and those of the caller: matches in the name first, then in the description, then in tags. */
  async search(filter: ListFilter & { q: string }, tenantId: string | undefined): Promise<StoredFeed[]> {
    const mine = tenantId === undefined ? undefined : eq(feeds.tenantId, tenantId);
    const pattern = patternOf(filter.q);
    const rank = sql`CASE WHEN ${feeds.name} ILIKE ${pattern} THEN 0 WHEN ${feeds.description} ILIKE ${pattern} THEN 1 ELSE 2 END`;
    return await this.#list(
      and(or(isPublic, mine), ...filters(filter)),
      [rank, sql`lower(${feeds.name})`, desc(feeds.createdAt), desc(feeds.id)],
      filter.limit,
    );
  }

  async ofTenant(tenantId: string): Promise<StoredFeed[]> {
    return await this.#list(eq(feeds.tenantId, tenantId), [desc(feeds.createdAt), desc(feeds.id)]);
  }

  async #list(where: SQL | undefined, order: SQL[], limit?: number): Promise<StoredFeed[]> {
    const query = this.#db
      .select()
      .from(feeds)
      .where(where)
      .orderBy(...order);
    return (await (limit === undefined ? query : query.limit(limit))).map(storedFeed);
  }
}

function filters({ category, q }: ListFilter): (SQL | undefined)[] {
  const pattern = q === undefined ? undefined : patternOf(q);
  return [
    category === undefined ? undefined : eq(feeds.category, category),
    pattern === undefined
      ? undefined
      : sql`(${feeds.name} ILIKE ${pattern} OR ${feeds.description} ILIKE ${pattern} OR EXISTS (SELECT 1 FROM unnest(${feeds.tags}) AS tag WHERE tag ILIKE ${pattern}))`,
  ];
}

/** Anything that contains exactly this text. */
export function patternOf(text: string): string {
  return `%${text.replace(/[\\%_]/g, "\\$&")}%`;
}

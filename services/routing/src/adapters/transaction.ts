/** A change of feeds and what the registry is told about it, in one transaction. Tests: ../marketplace.int.test.ts. */
import { randomUUID } from "node:crypto";
import { appendOutbox, withTransaction } from "@headwater/postgres";
import { type FeedRecord, type RegistryRecord, subjects } from "@headwater/protocol";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";

export type Db = ReturnType<typeof drizzle>;

/** Writes a feed's record to the outbox; null = it is gone. */
export type Tell = (type: `feed.${string}`, id: string, data: FeedRecord | null) => Promise<void>;
/** The same for several feeds at once. */
export type TellAll = (type: `feed.${string}`, facts: readonly { id: string; data: FeedRecord | null }[]) => Promise<void>;

export interface StoreOptions {
  pool: pg.Pool;
  now: () => Date;
}

/** Facts of one feed come in the order of its commits, because every change holds the feed's row. */
export async function inTransaction<T>(options: StoreOptions, work: (db: Db, tell: Tell, tellAll: TellAll) => Promise<T>): Promise<T> {
  return await withTransaction(options.pool, async (client) => {
    const tellAll: TellAll = async (type, facts) => {
      const at = options.now().toISOString();
      const rows = facts.map(({ id, data }) => {
        const record: RegistryRecord = { v: 1, type, aggregate: "feed", id, at, data };
        return { id: randomUUID(), subject: subjects.registry("feed", id), payload: JSON.stringify(record) };
      });
      await appendOutbox(client, "routing", ...rows);
    };
    const tell: Tell = (type, id, data) => tellAll(type, [{ id, data }]);
    // drizzle works on a client as on a pool; its types name only the pool's result.
    return await work(drizzle(client) as unknown as Db, tell, tellAll);
  });
}

/**
 * A change and what the registry is told about it, in one transaction.
 * Tests: ../service.int.test.ts, ../accounts.int.test.ts.
 */
import { randomUUID } from "node:crypto";
import { appendOutbox, withTransaction } from "@headwater/postgres";
import { type RegistryRecord, subjects } from "@headwater/protocol";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";

export type Db = ReturnType<typeof drizzle>;
/** Writes a registry record to the outbox. */
export type Tell = (type: string, aggregate: RegistryRecord["aggregate"], id: string, data: unknown) => Promise<void>;

export interface StoreOptions {
  pool: pg.Pool;
  /** Keys every stored hash of something that could be guessed. */
  pepper: string;
  now: () => Date;
}

export async function inTransaction<T>(options: StoreOptions, work: (db: Db, tell: Tell) => Promise<T>): Promise<T> {
  return await withTransaction(options.pool, async (client) => {
    const tell: Tell = async (type, aggregate, id, data) => {
      const record: RegistryRecord = { v: 1, type, aggregate, id, at: options.now().toISOString(), data };
      await appendOutbox(client, "auth", { id: randomUUID(), subject: subjects.registry(aggregate, id), payload: JSON.stringify(record) });
    };
    // drizzle works on a client as on a pool; its types name only the pool's result.
    return await work(drizzle(client) as unknown as Db, tell);
  });
}

export { isDatabaseAway, violatedIndex } from "@headwater/postgres";

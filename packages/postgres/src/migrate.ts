/**
 * Runs a service's drizzle migrations in its own schema. Safe when several processes start at once (advisory lock), and refuses a
 * database that is newer than the code. Tests: postgres.int.test.ts.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import type pg from "pg";

export interface MigrateOptions {
  pool: pg.Pool;
  /** PostgreSQL schema that holds the tables and the list of applied migrations. */
  schema: string;
  /** Folder with `meta/_journal.json` and the SQL files. */
  folder: string;
}

export class NewerDatabase extends Error {
  readonly code = "newer_database";
}

/** @throws NewerDatabase when more migrations were applied than this code knows. */
export async function migrate(options: MigrateOptions): Promise<void> {
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(options.schema)) throw new RangeError(`not a schema name: ${options.schema}`);
  const known = knownCount(options.folder);
  const client = await options.pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock(hashtext($1))", [`headwater.migrate.${options.schema}`]);
    try {
      const applied = await appliedCount(client, options.schema);
      if (applied > known) {
        throw new NewerDatabase(`schema ${options.schema} has ${applied} migrations, this version knows ${known}: start the newer version`);
      }
      if (applied < known) await apply(client, options);
    } finally {
      await client.query("SELECT pg_advisory_unlock(hashtext($1))", [`headwater.migrate.${options.schema}`]);
    }
  } finally {
    client.release();
  }
}

/**
 * Loaded only when there is something to do: drizzle takes more than half a second of CPU to load, and a service that restarts after a
 * crash is expected to be back within three seconds.
 */
async function apply(client: pg.PoolClient, options: MigrateOptions): Promise<void> {
  const [{ sql }, { drizzle }, { migrate: runMigrations }] = await Promise.all([
    import("drizzle-orm"),
    import("drizzle-orm/node-postgres"),
    import("drizzle-orm/node-postgres/migrator"),
  ]);
  const db = drizzle(client);
  await db.execute(sql`CREATE SCHEMA IF NOT EXISTS ${sql.identifier(options.schema)}`);
  await runMigrations(db, { migrationsFolder: options.folder, migrationsSchema: options.schema, migrationsTable: "migrations" });
}

function knownCount(folder: string): number {
  // Written by drizzle-kit; its shape is drizzle's.
  const journal = JSON.parse(readFileSync(path.join(folder, "meta/_journal.json"), "utf8")) as { entries: unknown[] };
  return journal.entries.length;
}

async function appliedCount(client: pg.PoolClient, schema: string): Promise<number> {
  const table = `"${schema}"."migrations"`;
  const exists = await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [table]);
  if (!exists.rows[0]?.there) return 0;
  const count = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return count.rows[0]?.n ?? 0;
}

/**
 * Runs a service's drizzle migrations in its own schema. Safe when several processes start at once (advisory lock), and refuses a
 * database that is newer than the code. Tests: postgres.int.test.ts.
 */
import { sql } from "drizzle-orm";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as runMigrations } from "drizzle-orm/node-postgres/migrator";
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
  const known = readMigrationFiles({ migrationsFolder: options.folder });
  const client = await options.pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock(hashtext($1))", [`headwater.migrate.${options.schema}`]);
    try {
      const db = drizzle(client);
      const applied = await appliedCount(client, options.schema);
      if (applied > known.length) {
        throw new NewerDatabase(
          `schema ${options.schema} has ${applied} migrations, this version knows ${known.length}: start the newer version`,
        );
      }
      await db.execute(sql`CREATE SCHEMA IF NOT EXISTS ${sql.identifier(options.schema)}`);
      await runMigrations(db, { migrationsFolder: options.folder, migrationsSchema: options.schema, migrationsTable: "migrations" });
    } finally {
      await client.query("SELECT pg_advisory_unlock(hashtext($1))", [`headwater.migrate.${options.schema}`]);
    }
  } finally {
    client.release();
  }
}

async function appliedCount(client: pg.PoolClient, schema: string): Promise<number> {
  const table = `"${schema}"."migrations"`;
  const exists = await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [table]);
  if (!exists.rows[0]?.there) return 0;
  const count = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return count.rows[0]?.n ?? 0;
}

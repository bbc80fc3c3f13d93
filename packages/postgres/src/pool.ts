/** A PostgreSQL pool whose idle connections may die without taking the process with them. Tests: postgres.int.test.ts. */
import type { Logger } from "@headwater/runtime";
import pg from "pg";

export interface PoolOptions {
  url: string;
  max: number;
  /** Shown in `pg_stat_activity`. */
  applicationName: string;
  log: Logger;
  /** Default 5,000: a database that does not answer fails a query instead of holding it for ever. */
  connectWithinMs?: number;
  statementTimeoutMs?: number;
}

export async function openPool(options: PoolOptions): Promise<pg.Pool> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectWithinMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  });
  // Without a listener a broken idle connection is an uncaught exception.
  pool.on("error", (error) => options.log.warn(reason(error), "postgres.idle_connection_lost"));
  // The pool listens only while a client is idle; one that dies between two queries of a transaction would end the process.
  pool.on("connect", (client) => client.on("error", (error) => options.log.debug(reason(error), "postgres.connection_lost")));
  try {
    await pool.query("SELECT 1");
  } catch (error) {
    await pool.end();
    throw error;
  }
  return pool;
}

/** pg hangs the whole client on its errors; a log line needs the reason only. */
function reason(error: Error): { reason: string; code?: unknown } {
  return { reason: error.message, ...("code" in error ? { code: error.code } : {}) };
}

/** A real PostgreSQL for tests (no fsync unless asked for), and one empty database per test file. */
import path from "node:path";
import { onFreePorts, startPostgres as startServer } from "@headwater/embedded";
import pg from "pg";
import { makeTempDir } from "./temp-dir.ts";

export interface TestPostgres {
  url: string;
  /** Goes with the server. */
  dir: string;
  pid(): number;
  /** SIGKILL of the postmaster; it is restarted on the same port and data. */
  kill(): void;
  stop(): Promise<void>;
}

/** @param options.durable default false: faster, but a killed server forgets its last commits. */
export async function startPostgres(options: { durable?: boolean } = {}): Promise<TestPostgres> {
  const temp = makeTempDir("headwater-pg");
  const server = await onFreePorts(1, (port = 0) =>
    startServer({
      env: process.env,
      dataDir: path.join(temp.dir, "data"),
      port,
      password: "headwater-test",
      durable: options.durable ?? false,
      temporaryDir: temp.dir,
    }),
  );
  const pid = (): number => {
    if (server.pid === undefined) throw new Error("postgres is not running");
    return server.pid;
  };
  return {
    url: server.url,
    dir: temp.dir,
    pid,
    kill: () => void process.kill(pid(), "SIGKILL"),
    async stop() {
      await server.stop();
      temp.remove();
    },
  };
}

/** Makes an empty database on the server of `adminUrl`. */
export async function createDatabase(adminUrl: string, name: string): Promise<{ url: string; drop(): Promise<void> }> {
  if (!/^[a-z][a-z0-9_]{0,50}$/.test(name)) throw new RangeError(`not a database name: ${name}`);
  const unique = `${name}_${process.pid}_${Math.random().toString(36).slice(2, 8)}`;
  const run = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: adminUrl });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await run(`CREATE DATABASE ${unique}`);
  const url = new URL(adminUrl);
  url.pathname = `/${unique}`;
  return { url: url.toString(), drop: () => run(`DROP DATABASE IF EXISTS ${unique} WITH (FORCE)`) };
}

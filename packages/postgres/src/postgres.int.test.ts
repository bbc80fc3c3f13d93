/** Pool, transactions, migrations and outbox against a real PostgreSQL. */
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { createDatabase, makeTempDir, quietLogger, startPostgres, type TestPostgres, until } from "@headwater/testkit";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { migrate, NewerDatabase } from "./migrate.ts";
import { appendOutbox, createOutboxRelay, type OutboxRelay, type OutboxRow } from "./outbox.ts";
import { openPool } from "./pool.ts";
import { withTransaction } from "./transaction.ts";

const log = quietLogger();
const temp = makeTempDir("headwater-migrations");
const pools: pg.Pool[] = [];
const relays: OutboxRelay[] = [];
let server: TestPostgres;

beforeAll(async () => {
  server = await startPostgres();
}, 60_000);
afterEach(async () => {
  for (const relay of relays.splice(0)) await relay.stop();
  for (const pool of pools.splice(0)) await pool.end();
});
afterAll(async () => {
  await server.stop();
  temp.remove();
});

async function database(name: string): Promise<string> {
  return (await createDatabase(server.url, name)).url;
}
async function pool(url: string, max = 4): Promise<pg.Pool> {
  const opened = await openPool({ url, max, applicationName: "test", log });
  pools.push(opened);
  return opened;
}
/** A drizzle migrations folder with these SQL texts. */
function folder(name: string, migrations: string[]): string {
  const dir = path.join(temp.dir, name);
  fs.mkdirSync(path.join(dir, "meta"), { recursive: true });
  const entries = migrations.map((sql, idx) => {
    const tag = `${String(idx).padStart(4, "0")}_step`;
    fs.writeFileSync(path.join(dir, `${tag}.sql`), sql);
    return { idx, version: "7", when: 1_700_000_000_000 + idx, tag, breakpoints: true };
  });
  fs.writeFileSync(path.join(dir, "meta/_journal.json"), JSON.stringify({ version: "7", dialect: "postgresql", entries }));
  return dir;
}

describe("migrate", () => {
  // A second run of the same step would fail: the table exists.
  const steps = ["CREATE TABLE app.things (n int)", "INSERT INTO app.things VALUES (1)"];
  it("runs each step once when many processes start together", async () => {
    const url = await database("migrate_many");
    const all = await Promise.all(Array.from({ length: 6 }, () => pool(url, 1)));
    const dir = folder("many", steps);
    await Promise.all(all.map((one) => migrate({ pool: one, schema: "app", folder: dir })));
    expect((await all[0]?.query("SELECT n FROM app.things"))?.rows).toEqual([{ n: 1 }]);
  });
  it("adds what is new, and refuses a database newer than itself", async () => {
    const db = await pool(await database("migrate_newer"));
    await migrate({ pool: db, schema: "app", folder: folder("old", steps.slice(0, 1)) });
    await migrate({ pool: db, schema: "app", folder: folder("new", steps) });
    expect((await db.query("SELECT n FROM app.things")).rows.length).toBe(1);
    await expect(migrate({ pool: db, schema: "app", folder: folder("old", steps.slice(0, 1)) })).rejects.toBeInstanceOf(NewerDatabase);
  });
  it("leaves nothing behind of a step that fails", async () => {
    const db = await pool(await database("migrate_broken"));
    const broken = folder("broken", ["CREATE TABLE app.half (n int);\n--> statement-breakpoint\nSELECT no_such_function()"]);
    await expect(migrate({ pool: db, schema: "app", folder: broken })).rejects.toThrow();
    expect((await db.query("SELECT to_regclass('app.half') AS t")).rows).toEqual([{ t: null }]);
  });
  it("takes no schema name that is not one", async () => {
    const db = await pool(server.url);
    await expect(migrate({ pool: db, schema: 'a"; DROP', folder: temp.dir })).rejects.toBeInstanceOf(RangeError);
  });
});

describe("transactions", () => {
  it("roll back as a whole, and the pool goes on", async () => {
    const db = await pool(await database("rollback"));
    await db.query("CREATE TABLE t (n int)");
    const failing = withTransaction(db, async (client) => {
      await client.query("INSERT INTO t VALUES (1)");
      throw new Error("changed my mind");
    });
    await expect(failing).rejects.toThrow("changed my mind");
    expect((await db.query("SELECT count(*)::int AS n FROM t")).rows).toEqual([{ n: 0 }]);
  });
  it("survive the death of their connection without taking the process along", async () => {
    const db = await pool(await database("cut"), 1);
    const cut = withTransaction(db, async (client) => {
      const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      const other = await pool(server.url, 1);
      await other.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]);
      await client.query("SELECT 1");
    });
    await expect(cut).rejects.toThrow();
    expect((await db.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  });
});

describe("outbox", () => {
  const table =
    "CREATE SCHEMA app; CREATE TABLE app.outbox (position bigserial PRIMARY KEY, id uuid UNIQUE NOT NULL, subject text NOT NULL, payload text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), published_at timestamptz)";
  async function outbox(name: string) {
    const url = await database(name);
    const db = await pool(url);
    await db.query(table);
    const add = async (subject: string, payload: string): Promise<string> => {
      const id = randomUUID();
      await withTransaction(db, (client) => appendOutbox(client, "app", { id, subject, payload }));
      return id;
    };
    const relay = async (publish: (row: OutboxRow, later: readonly string[]) => Promise<void>): Promise<OutboxRelay> => {
      const created = createOutboxRelay({ pool: await pool(url), schema: "app", publish, log, idlePollMs: 50 });
      relays.push(created);
      return created;
    };
    return { db, add, relay };
  }

  it("publishes committed rows in order, and nothing of a rolled back transaction", async () => {
    const box = await outbox("outbox_order");
    for (let n = 0; n < 250; n++) await box.add("s", String(n));
    const rolledBack = withTransaction(box.db, async (client) => {
      await appendOutbox(client, "app", { id: randomUUID(), subject: "s", payload: "never" });
      throw new Error("no");
    });
    await expect(rolledBack).rejects.toThrow("no");
    const seen: string[] = [];
    const relay = await box.relay(async (row) => void seen.push(row.payload));
    expect(await relay.flush(5_000)).toBe(true);
    expect(seen).toEqual(Array.from({ length: 250 }, (_, n) => String(n)));
  });

  it("takes many rows at once, in their order, as they are", async () => {
    const box = await outbox("outbox_many");
    const payloads = Array.from({ length: 250 }, (_, n) => `{"n":${n},"odd":"a,b \\"c\\" \\\\ {} 'd' é"}`);
    await withTransaction(box.db, (client) =>
      appendOutbox(client, "app", ...payloads.map((payload) => ({ id: randomUUID(), subject: "s", payload }))),
    );
    const seen: string[] = [];
    const relay = await box.relay(async (row) => void seen.push(row.payload));
    expect(await relay.flush(5_000)).toBe(true);
    expect(seen).toEqual(payloads);
  });

  it("publishes a late commit that has a lower position", async () => {
    const box = await outbox("outbox_late");
    const seen: string[] = [];
    const relay = await box.relay(async (row) => void seen.push(row.payload));
    const slow = await box.db.connect();
    await slow.query("BEGIN");
    await appendOutbox(slow, "app", { id: randomUUID(), subject: "s", payload: "began first" });
    await box.add("s", "committed first");
    await until("the first commit is out", () => seen.includes("committed first"));
    await slow.query("COMMIT");
    slow.release();
    expect(await relay.flush(5_000)).toBe(true);
    expect(seen).toEqual(["committed first", "began first"]);
  });

  it("repeats with the same id when the publish succeeded and its mark was lost, and says what comes later", async () => {
    const box = await outbox("outbox_again");
    const ids = [await box.add("a", "1"), await box.add("b", "x"), await box.add("a", "2")];
    const tries: { id: string; later: readonly string[] }[] = [];
    let isDown = true;
    const relay = await box.relay(async (row, later) => {
      tries.push({ id: row.id, later });
      if (isDown && row.payload === "2") {
        isDown = false;
        throw new Error("the broker is away");
      }
    });
    expect(await relay.flush(5_000)).toBe(true);
    const round = [
      { id: ids[0], later: [ids[2]] },
      { id: ids[1], later: [] },
      { id: ids[2], later: [] },
    ];
    expect(tries).toEqual([...round, ...round]);
  });

  it("is relayed by one instance at a time", async () => {
    const box = await outbox("outbox_two");
    let running = 0;
    let most = 0;
    const seen: string[] = [];
    const publish = async (row: OutboxRow): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(row.payload);
      running--;
    };
    const [one, two] = [await box.relay(publish), await box.relay(publish)];
    for (let n = 0; n < 50; n++) await box.add("s", String(n));
    one.wake();
    two.wake();
    expect([await one.flush(5_000), await two.flush(5_000)]).toEqual([true, true]);
    expect(most).toBe(1);
    expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
  });

  it("gives up waiting, not working, while nothing can be published", async () => {
    const box = await outbox("outbox_down");
    await box.add("s", "1");
    let isDown = true;
    const relay = await box.relay(async () => {
      if (isDown) throw new Error("the broker is away");
    });
    expect(await relay.flush(100)).toBe(false);
    isDown = false;
    expect(await relay.flush(5_000)).toBe(true);
  });
});

it("serves again after the server was killed", async () => {
  const own = await startPostgres();
  try {
    const db = await openPool({ url: own.url, max: 2, applicationName: "test", log });
    pools.push(db);
    own.kill();
    await until(
      "a query works again",
      () =>
        db.query("SELECT 1").then(
          () => true,
          () => false,
        ),
      30_000,
    );
  } finally {
    for (const one of pools.splice(0)) await one.end();
    await own.stop();
  }
}, 60_000);

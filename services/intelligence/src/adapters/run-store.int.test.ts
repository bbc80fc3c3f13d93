/** Rows of automatic runs with a real PostgreSQL. */
import path from "node:path";
import { migrate, openPool } from "@headwater/postgres";
import { createDatabase, quietLogger } from "@headwater/testkit";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, inject, it, vi } from "vitest";
import { createRunStore, type NewRun, type RunStore } from "./run-store.ts";

let database: Awaited<ReturnType<typeof createDatabase>>;
let pool: pg.Pool;
let store: RunStore;
let other: RunStore;
beforeAll(async () => {
  database = await createDatabase(inject("databaseUrl"), "runs");
  pool = await openPool({ url: database.url, max: 6, applicationName: "test", log: quietLogger() });
  await migrate({ pool, schema: "intelligence", folder: path.resolve(import.meta.dirname, "../../migrations") });
  store = createRunStore(pool);
  other = createRunStore(pool);
}, 60_000);
afterAll(async () => {
  await pool?.end();
  await database?.drop();
}, 60_000);
beforeEach(() => pool.query("DELETE FROM intelligence.runs"));

const run = (id: string, change: Partial<NewRun> = {}): NewRun => ({
  id,
  lane: 1,
  epoch: 10,
  feedId: "f",
  tenantId: "t",
  tick: "10:1",
  provider: "openai",
  model: "m",
  ...change,
});
const rows = async (): Promise<Record<string, unknown>[]> =>
  (
    await pool.query<Record<string, unknown>>(
      "SELECT id, outcome, tokens, billed_at IS NOT NULL AS billed FROM intelligence.runs ORDER BY id",
    )
  ).rows;

it("a tick is reserved once, whoever asks and how many at once", async () => {
  const ids = Array.from({ length: 700 }, (_, i) => `r${i}`);
  const ask = (from: RunStore) => ids.map((id) => from.reserve(run(id)));
  const answers = await Promise.all([Promise.all(ask(store)), Promise.all(ask(other)), Promise.all(ask(store).reverse())]);
  expect(answers.flat().filter(Boolean)).toHaveLength(700);
  expect(await rows()).toHaveLength(700);
  expect(await store.reserve(run("r1"))).toBe(false);
});

it("a reservation alone does not wait for the disk; what its connection does next does", async () => {
  const single = await openPool({ url: database.url, max: 1, applicationName: "test", log: quietLogger() });
  try {
    await single.query("SET synchronous_commit = on");
    expect(await createRunStore(single).reserve(run("quick"))).toBe(true);
    expect((await single.query("SHOW synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
  } finally {
    await single.end();
  }
});

it("a run is settled once; one that was written off is not settled any more", async () => {
  await Promise.all(["a", "b"].map((id) => store.reserve(run(id))));
  expect(await store.settle({ id: "a", outcome: "answered", tokens: 150, durationMs: 12.6 })).toBe(true);
  expect(await store.settle({ id: "a", outcome: "answered", tokens: 150, durationMs: 1 })).toBe(false);
  expect(await other.loseEarlier(1, 11)).toBe(1);
  expect(await store.settle({ id: "b", outcome: "answered", tokens: 150, durationMs: 1 })).toBe(false);
  expect(await rows()).toEqual([
    { id: "a", outcome: "answered", tokens: 150, billed: false },
    { id: "b", outcome: "lost", tokens: 0, billed: false },
  ]);
});

it("only open runs of earlier owners of that lane are written off", async () => {
  await Promise.all([store.reserve(run("same", { epoch: 11 })), store.reserve(run("lane", { lane: 2 })), store.reserve(run("old"))]);
  expect(await store.loseEarlier(1, 11)).toBe(1);
  expect(await store.loseEarlier(1, 11)).toBe(0);
  expect((await rows()).map(({ id, outcome }) => [id, outcome])).toEqual([
    ["lane", null],
    ["old", "lost"],
    ["same", null],
  ]);
  await pool.query("UPDATE intelligence.runs SET reserved_at = now() - interval '5 minutes' WHERE id = 'lane'");
  expect(await store.loseOlderThan(180_000)).toBe(1);
});

it("runs that are billed within a moment are marked by one statement", async () => {
  const ids = ["a", "b", "c"];
  await Promise.all(ids.map((id) => store.reserve(run(id))));
  const statements = vi.spyOn(pool, "query");
  try {
    const marks: Promise<void>[] = [];
    for (const id of ids) {
      marks.push(store.billed([id]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(marks);
    expect(statements).toHaveBeenCalledTimes(1);
  } finally {
    statements.mockRestore();
  }
  expect(await rows()).toMatchObject(ids.map((id) => ({ id, billed: true })));
});

it("what is owed is found until it is billed, and kept until then", async () => {
  await Promise.all(["a", "b", "free", "open"].map((id) => store.reserve(run(id))));
  await store.settle({ id: "a", outcome: "answered", tokens: 150, durationMs: 1 });
  await store.settle({ id: "b", outcome: "failed", tokens: 20, durationMs: 1 });
  await store.settle({ id: "free", outcome: "answered", tokens: 0, durationMs: 1 });
  await store.billed(["b"]);
  expect(await store.unbilled({ olderThanMs: 60_000, limit: 10 })).toEqual([]);
  expect(await store.unbilled({ olderThanMs: 0, limit: 10 })).toEqual([{ id: "a", tenantId: "t", tokens: 150 }]);
  expect(await store.prune(0)).toBe(2);
  expect((await rows()).map(({ id }) => id)).toEqual(["a", "open"]);
});

/** Snapshots, eviction and what happens when they are broken or impossible. */
import { streamState } from "@headwater/messaging";
import { collectingLogger, startPostgres, until } from "@headwater/testkit";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { Harness } from "./fixtures/harness.ts";
import { tallyFamily, type TallyInput, tallyModel, type TallyState } from "./fixtures/tally.ts";
import { refold } from "./refold.ts";
import type { LaneWorker } from "./worker.ts";
import { NewerSnapshot } from "./types.ts";

let harness: Harness;
let workers: LaneWorker<TallyState>[] = [];
beforeEach(async () => {
  harness = await Harness.open(inject("databaseUrl"), { laneCount: 1 });
});
afterEach(async () => {
  for (const worker of workers) await worker.stop();
  workers = [];
  await harness.close();
});

const start: Harness["start"] = async (...args) => {
  const worker = await harness.start(...args);
  workers.push(worker);
  await until("the lane is live", () => worker.lanes()[0]?.state === "live" || harness.fatal.length > 0);
  return worker;
};
const stop = async (worker: LaneWorker<TallyState>): Promise<void> => {
  workers = workers.filter((other) => other !== worker);
  await worker.stop();
};
const inputs = (from: number, count: number, keys = 7): TallyInput[] =>
  Array.from({ length: count }, (_, i) => ({ id: `i${from + i}`, key: `k${(from + i) % keys}`, n: from + i }));
const wires = async (): Promise<string[]> => (await harness.outputs(0)).map((output) => output.wire);
const refoldLane = () =>
  refold(tallyFamily(), 0, {
    nats: harness.nats,
    pool: harness.pool,
    registry: harness.registry,
    configAt: (reg) => ({ reg }),
    log: harness.log,
  });
const count = async (sql: string): Promise<number> =>
  (await harness.pool.query<{ n: string }>(sql)).rows.reduce((sum, row) => sum + Number(row.n), 0);

/** Two snapshots at different positions, both with every page that has keys. */
async function twoSnapshots(): Promise<{ hash: string }> {
  const worker = await start("w-0", { snapshotEveryMs: 50 });
  await harness.put(0, ...inputs(0, 50));
  await worker.settled();
  await until("a first snapshot", () => worker.lanes()[0]?.snapshotIn === 1);
  await harness.put(0, ...inputs(50, 50));
  await worker.settled();
  await until("a second snapshot", () => worker.lanes()[0]?.snapshotIn === 2);
  const { hash } = await worker.stateHash(0);
  await stop(worker);
  return { hash };
}

describe("restore", () => {
  it("uses the newest snapshot and replays only what is newer", async () => {
    const { hash } = await twoSnapshots();
    const { log, lines } = collectingLogger();
    const worker = await start("w-0", {}, { log });
    expect(lines().find((line) => line["msg"] === "lanes.live")).toMatchObject({ from: 2, to: 2 });
    expect((await worker.stateHash(0)).hash).toBe(hash);
    expect((await refoldLane()).hash).toBe(hash);
  });

  it("falls back to the snapshot before when a page is damaged, loudly", async () => {
    const { hash } = await twoSnapshots();
    await harness.pool.query(
      "UPDATE lanes.pages SET body = substring(body from 1 for 10) WHERE page = (SELECT max(page) FROM lanes.pages) AND in_seq = 2",
    );
    const { log, lines, messages } = collectingLogger();
    const worker = await start("w-0", {}, { log });
    expect(messages()).toContain("lanes.snapshot_corrupt");
    expect(lines().find((line) => line["msg"] === "lanes.live")).toMatchObject({ from: 1, to: 2 });
    expect((await worker.stateHash(0)).hash).toBe(hash);
  });

  it("folds the whole log again when both are damaged", async () => {
    const { hash } = await twoSnapshots();
    await harness.pool.query("UPDATE lanes.pages SET sha256 = '\\x00'");
    const { log, lines, messages } = collectingLogger();
    const worker = await start("w-0", {}, { log });
    expect(messages().filter((message) => message === "lanes.snapshot_corrupt")).toHaveLength(2);
    expect(lines().find((line) => line["msg"] === "lanes.live")).toMatchObject({ from: 0, to: 2 });
    expect((await worker.stateHash(0)).hash).toBe(hash);
    expect(await wires()).toEqual(tallyModel(inputs(0, 100), 0).wires);
  });

  it("keeps two versions of a page, not more", async () => {
    const worker = await start("w-0", { snapshotEveryMs: 20 });
    for (let i = 1; i <= 5; i++) {
      await harness.put(0, ...inputs(i * 10, 10));
      await until(`snapshot ${i}`, () => worker.lanes()[0]?.snapshotIn === i);
    }
    expect(await count("SELECT count(*) AS n FROM lanes.pages GROUP BY page ORDER BY n DESC LIMIT 1")).toBe(2);
  });

  it("refuses a snapshot of a newer schema instead of guessing", async () => {
    const newer = await start("w-0", {}, { family: tallyFamily({ schema: 2 }) });
    await harness.put(0, ...inputs(0, 5));
    await newer.settled();
    await stop(newer);
    await harness.start("w-0").then((worker) => workers.push(worker));
    await until("the worker says so", () => harness.fatal.length > 0);
    expect(harness.fatal[0]).toBeInstanceOf(NewerSnapshot);
    expect(await wires()).toHaveLength(5);
  });

  it("upcasts a snapshot of an older schema", async () => {
    const older = await start("w-0");
    await harness.put(0, ...inputs(0, 5));
    await older.settled();
    await stop(older);
    const seen: number[] = [];
    const base = tallyFamily({ schema: 2 });
    const worker = await start(
      "w-0",
      {},
      { family: { ...base, deserialize: (json, schema) => (seen.push(schema), base.deserialize(json, schema)) } },
    );
    expect(new Set(seen)).toEqual(new Set([1]));
    await harness.put(0, ...inputs(5, 5));
    await worker.settled();
    expect(await wires()).toEqual(tallyModel(inputs(0, 10), 0).wires);
  });
});

describe("eviction", () => {
  it("with a tiny budget gives the same outputs and the same state as none", async () => {
    // Room for a handful of the 60 keys.
    const options = { hotBytesPerLane: 4_000, snapshotEveryMs: 30 };
    const list: TallyInput[] = [];
    const push = async (...more: TallyInput[]): Promise<void> => {
      list.push(...more);
      await harness.put(0, ...more);
    };
    let worker = await start("w-0", options);
    for (let round = 0; round < 20; round++) {
      const base = round * 60;
      // Every key, pairs of keys, repeats of earlier ids and deletions.
      await push(...inputs(base, 60, 60), { id: `m${round}`, key: `k${round}`, also: `k${59 - round}`, n: round }, ...inputs(base, 3, 60));
      await push({ id: `d${round}`, key: `k${(round * 7) % 60}`, n: 0, del: true });
      await worker.settled();
      if (round === 10) {
        await stop(worker);
        worker = await start("w-0", options);
      }
    }
    expect(await wires()).toEqual(tallyModel(list, 0).wires);
    expect(await count("SELECT count(DISTINCT key) AS n FROM lanes.cold_keys")).toBeGreaterThan(20);
    await until("keys have left memory", () => (worker.lanes()[0]?.keys ?? 60) < 40);
    const live = await worker.stateHash(0);
    const folded = await refoldLane();
    expect(folded).toMatchObject({ hash: live.hash, keys: live.keys });
    // A cold key can be read.
    const model = tallyModel(list, 0).states;
    for (const key of ["k1", "k30", "k59"]) expect(await worker.read(key, (state) => state?.count)).toBe(model.get(key)?.count);
  }, 60_000);

  it("survives a damaged cold row by folding again", async () => {
    const options = { hotBytesPerLane: 2_000, snapshotEveryMs: 30 };
    const { log, messages } = collectingLogger();
    const worker = await start("w-0", options, { log });
    await harness.put(0, ...inputs(0, 60, 60));
    await worker.settled();
    await until("cold keys", async () => (await count("SELECT count(*) AS n FROM lanes.cold_keys")) > 20);
    await harness.pool.query("UPDATE lanes.cold_keys SET body = '\\x00' WHERE body IS NOT NULL");
    await harness.put(0, ...inputs(60, 60, 60));
    await worker.settled({ withinMs: 20_000 });
    expect(messages()).toContain("lanes.cold_key_corrupt");
    expect(await wires()).toEqual(tallyModel(inputs(0, 120, 60), 0).wires);
    const live = await worker.stateHash(0);
    expect((await refoldLane()).hash).toBe(live.hash);
  }, 60_000);
});

describe("PostgreSQL away", () => {
  it("folding goes on, the age of the snapshot rises, and snapshots resume", async () => {
    const postgres = await startPostgres({ durable: true });
    const other = await Harness.open(postgres.url, { laneCount: 1 });
    try {
      const worker = await other.start("w-0", { snapshotEveryMs: 50 });
      await other.put(0, ...inputs(0, 10));
      await worker.settled();
      await until("a snapshot", () => worker.lanes()[0]?.snapshotIn === 1);
      postgres.kill();
      await other.put(0, ...inputs(10, 10));
      await worker.settled();
      expect((await other.outputs(0)).map((output) => output.wire)).toEqual(tallyModel(inputs(0, 20), 0).wires);
      await until("snapshots resume", () => worker.lanes()[0]?.snapshotIn === 2, 20_000);
      expect(worker.lanes()[0]).toMatchObject({ state: "live", snapshotAgeMs: 0 });
      await worker.stop();
    } finally {
      await other.close();
      await postgres.stop();
    }
  }, 60_000);
});

describe("finished input", () => {
  it("is left alone when the log makes room by itself", async () => {
    const small = await Harness.open(inject("databaseUrl"), { laneCount: 1, visitsBytes: 64 * 1024 });
    try {
      const family = { ...tallyFamily(), isInputLossy: true };
      const worker = await small.start("w-0", { snapshotEveryMs: 30, purgeCheckMs: 20 }, { family });
      for (let i = 0; i < 7; i++) await small.put(0, { id: `i${i}`, key: "k", n: i, pad: "x".repeat(8_000) } as TallyInput);
      await worker.settled();
      await until("two snapshots", () => (worker.safePoints().get(0) ?? 0) > 0 || worker.lanes()[0]?.snapshotIn === 7);
      await small.put(0, { id: "last", key: "k", n: 1 });
      await worker.settled();
      await until("a second snapshot", () => worker.safePoints().get(0) === 7);
      // Over 80 % full and behind the older snapshot: any other family would purge now, every 20 ms.
      const frames = worker.lanes()[0]?.frames ?? 0;
      for (let i = 0; i < 5; i++) {
        await small.put(0, { id: `more${i}`, key: "k", n: 1 });
        await worker.settled();
      }
      expect(worker.lanes()[0]?.frames).toBeGreaterThan(frames);
      expect((await streamState(small.nats, small.inputStream(0))).firstSeq).toBe(1);
      await worker.stop();
    } finally {
      await small.close();
    }
  }, 60_000);

  it("is purged behind the older snapshot when the stream fills up, never beyond", async () => {
    const small = await Harness.open(inject("databaseUrl"), { laneCount: 1, visitsBytes: 256 * 1024 });
    try {
      const worker = await small.start("w-0", { snapshotEveryMs: 30, purgeCheckMs: 20 });
      const pad = "x".repeat(8_000);
      const list: TallyInput[] = [];
      // Four times what the stream holds: without purging it would refuse.
      for (let i = 0; i < 128; i++) {
        const input = { id: `i${i}`, key: `k${i % 3}`, n: i, pad } as TallyInput;
        list.push(input);
        await small.put(0, input);
        if (i % 4 === 3) {
          await worker.settled();
          await until("the snapshot", () => worker.lanes()[0]?.snapshotIn === i + 1);
          await until("room", async () => (await streamState(small.nats, small.inputStream(0))).bytes < 0.85 * 256 * 1024);
        }
      }
      const { firstSeq, lastSeq } = await streamState(small.nats, small.inputStream(0));
      expect(firstSeq).toBeGreaterThan(1);
      expect(firstSeq - 1).toBeLessThanOrEqual(worker.safePoints().get(0) ?? 0);
      expect(lastSeq).toBe(128);
      await worker.stop();
      const again = await small.start("w-0");
      await small.put(0, { id: "last", key: "k0", n: 1 });
      await again.settled();
      const expected = tallyModel([...list, { id: "last", key: "k0", n: 1 }], 0).wires;
      expect((await small.outputs(0)).map((output) => output.wire)).toEqual(expected);
      await again.stop();
    } finally {
      await small.close();
    }
  }, 60_000);
});

/** Leases against a real server: one holder, lost renewals, expiry as watchers see it; and the lane count of an installation. */
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Nats, openNats } from "./connection.ts";
import { LaneCountMismatch, type LeaseBucket, type LeaseChange, openLeaseBucket, readLaneCount } from "./lease-bucket.ts";

const TTL_MS = 1_000;
const LONG_MS = 60_000;
const options = { replicas: 1, maxBytes: 1024 * 1024 };
let server: TestNats;
let nats: Nats;
let bucket: LeaseBucket;
beforeAll(async () => {
  server = await startNats();
  nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
  bucket = await openLeaseBucket(nats, { ...options, log: quietLogger() });
});
afterAll(async () => {
  bucket.close();
  await nats.drain();
  await server.stop();
});

describe("a lease", () => {
  it("has one holder, whose revisions grow", async () => {
    const attempts = await Promise.all([1, 2, 3, 4].map((n) => bucket.create("l.one", `w-${n}`, LONG_MS)));
    const won = attempts.filter((revision) => revision !== undefined);
    expect(won).toHaveLength(1);
    const revision = won[0] ?? 0;
    const renewed = await bucket.renew("l.one", "again", revision, LONG_MS);
    expect(renewed).toBeGreaterThan(revision);
    expect(await bucket.get("l.one")).toEqual({ key: "l.one", value: "again", revision: renewed });
  });

  it("a holder with an old revision has lost it, and cannot remove its successor's", async () => {
    const old = (await bucket.create("l.old", "a", LONG_MS)) ?? 0;
    const stolen = await bucket.put("l.old", "b", LONG_MS);
    expect(await bucket.renew("l.old", "a", old, LONG_MS)).toBeUndefined();
    expect(await bucket.remove("l.old", old)).toBe(false);
    expect((await bucket.get("l.old"))?.value).toBe("b");
    expect(await bucket.remove("l.old", stolen)).toBe(true);
    expect((await bucket.get("l.old"))?.value).toBeUndefined();
  });

  it("is free after removal, with a higher revision: epochs never repeat", async () => {
    const first = (await bucket.create("l.free", "a", LONG_MS)) ?? 0;
    await bucket.remove("l.free", first);
    expect(await bucket.create("l.free", "b", LONG_MS)).toBeGreaterThan(first);
  });

  it("expires when it is not renewed, and is free then", async () => {
    const first = (await bucket.create("l.ttl", "a", TTL_MS)) ?? 0;
    expect(await bucket.create("l.ttl", "b", TTL_MS)).toBeUndefined();
    await until("expiry", async () => (await bucket.create("l.ttl", "b", LONG_MS)) !== undefined);
    expect((await bucket.get("l.ttl"))?.revision).toBeGreaterThan(first);
  });

  it("survives a killed server", async () => {
    const revision = (await bucket.create("l.kill", "a", LONG_MS)) ?? 0;
    server.kill();
    await until("seen as down", () => !nats.connected());
    await until("renewed", () =>
      bucket.renew("l.kill", "a", revision, LONG_MS).then(
        (next) => next !== undefined,
        () => false,
      ),
    );
    expect((await bucket.get("l.kill"))?.value).toBe("a");
  });

  it.each(["", "a b", "a>", "*", "ä"])("key %j is refused", async (key) => {
    await expect(bucket.create(key, "x", LONG_MS)).rejects.toThrow(RangeError);
  });
});

it("a watcher sees what is there, then writes, removals and expiry in order", async () => {
  await bucket.put("w.a", "1", LONG_MS);
  const seen: LeaseChange[] = [];
  const watch = bucket.watch((change) => {
    if (change.key.startsWith("w.")) seen.push(change);
  });
  await watch.caughtUp;
  expect(seen.map(({ key, value }) => [key, value])).toEqual([["w.a", "1"]]);
  await bucket.put("w.b", "2", TTL_MS);
  await bucket.remove("w.a");
  await until("expiry of w.b", () => seen.some(({ key, value }) => key === "w.b" && value === undefined));
  expect(seen.map(({ key, value }) => [key, value])).toEqual([
    ["w.a", "1"],
    ["w.b", "2"],
    ["w.a", undefined],
    ["w.b", undefined],
  ]);
  const revisions = seen.map(({ revision }) => revision);
  expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
  await watch.stop();
});

it("the lane count is written once and refuses every other one", async () => {
  expect(await readLaneCount(nats, 16, options)).toBe(16);
  expect(await readLaneCount(nats, 16, options)).toBe(16);
  await expect(readLaneCount(nats, 32, options)).rejects.toThrow(LaneCountMismatch);
});

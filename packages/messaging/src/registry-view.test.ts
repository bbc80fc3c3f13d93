/** The pure half of the registry view: history by position, deletions, listeners, waiting. */
import type { RegistryRecord } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { createRegistryStore } from "./registry-view.ts";

const record = (aggregate: RegistryRecord["aggregate"], id: string, data: unknown): RegistryRecord => ({
  v: 1,
  type: `${aggregate}.changed`,
  aggregate,
  id,
  at: "2026-01-01T00:00:00.000Z",
  data,
});

describe("registry store", () => {
  it("answers for now and for any position before", () => {
    const { apply, view } = createRegistryStore();
    apply(record("site", "a", { n: 1 }), 3);
    apply(record("site", "b", { n: 9 }), 4);
    apply(record("site", "a", { n: 2 }), 7);
    expect(view.position()).toBe(7);
    expect(view.get("site", "a")?.data).toEqual({ n: 2 });
    expect([2, 3, 6, 7, 99].map((reg) => view.getAt("site", "a", reg)?.data)).toEqual([undefined, { n: 1 }, { n: 1 }, { n: 2 }, { n: 2 }]);
    expect(view.get("tenant", "a")).toBeUndefined();
  });

  it("a deleted thing is gone from its position on, and may come back", () => {
    const { apply, view } = createRegistryStore();
    apply(record("key", "a", {}), 1);
    apply(record("key", "a", null), 2);
    expect(view.get("key", "a")).toBeUndefined();
    expect(view.getAt("key", "a", 1)).toBeDefined();
    expect(view.list("key")).toEqual([]);
    apply(record("key", "a", { n: 3 }), 3);
    expect(view.list("key").map(({ data }) => data)).toEqual([{ n: 3 }]);
  });

  it("keeps only the aggregates it was asked for, but every position", () => {
    const { apply, view } = createRegistryStore(["site"]);
    apply(record("key", "a", {}), 1);
    apply(undefined, 2);
    expect(view.position()).toBe(2);
    expect(view.get("key", "a")).toBeUndefined();
  });

  it("forgets what the stream keeps for a time only when that is over", () => {
    const { apply, view } = createRegistryStore();
    for (let i = 1; i <= 1_000; i++) apply(record("session", `s${i}`, {}), i, { atMs: i, ttlMs: 100 });
    apply(record("site", "a", {}), 1_001, { atMs: 1_000, ttlMs: undefined });
    expect(view.list("session").map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, i) => `s${901 + i}`));
    expect([view.get("session", "s900"), view.getAt("session", "s900", 900), view.get("session", "s901")?.id]).toEqual([
      undefined,
      undefined,
      "s901",
    ]);
    // Said again, it lives again; what came later without an end stays.
    apply(record("session", "s950", { n: 2 }), 1_002, { atMs: 1_001, ttlMs: 500 });
    apply(record("session", "s960", { n: 2 }), 1_003, { atMs: 1_001, ttlMs: undefined });
    apply(undefined, 1_004, { atMs: 1_200, ttlMs: undefined });
    expect(view.list("session").map(({ id }) => id)).toEqual(["s950", "s960"]);
    expect(view.list("site")).toHaveLength(1);
  });

  it("tells listeners after it holds the record, until they leave", () => {
    const { apply, view } = createRegistryStore();
    const seen: unknown[] = [];
    const leave = view.onChange((changed, seq) => seen.push([seq, view.get(changed.aggregate, changed.id)?.data]));
    apply(record("site", "a", 1), 1);
    leave();
    apply(record("site", "a", 2), 2);
    expect(seen).toEqual([[1, 1]]);
  });

  it("resolves waiters at their position, rejects them in time and on close", async () => {
    const { apply, view, close } = createRegistryStore();
    const reached = view.waitFor(2);
    const late = view.waitFor(9, 5);
    const closed = expect(view.waitFor(10)).rejects.toThrow("closed");
    apply(undefined, 1);
    apply(undefined, 2);
    await reached;
    await view.waitFor(1);
    await expect(late).rejects.toThrow("registry is at 2");
    close();
    await closed;
  });
});

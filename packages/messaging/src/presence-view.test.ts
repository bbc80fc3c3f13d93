import type { PresenceDigest } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { createPresenceTable } from "./presence-view.ts";

const digest = (edgeId: string, round: number, keys: Record<string, number>, more: Partial<PresenceDigest> = {}): PresenceDigest => ({
  v: 1, edgeId, boot: "b1", round, part: 0, parts: 1, at: 0, surfaces: { feeds: { sockets: 1, keys } }, ...more,
}); // biome-ignore format: one literal

describe("presence table", () => {
  it("adds up what all edges tell and says what changed", () => {
    const table = createPresenceTable();
    const changes: unknown[] = [];
    const stop = table.view.onChange((...change) => void changes.push(change));
    table.apply(digest("e1", 0, { f1: 2, f2: 1 }), 0);
    table.apply(digest("e2", 0, { f1: 3 }), 0);
    expect(table.view.count("feeds", "f1")).toBe(5);
    expect(table.view.count("signals", "f1")).toBe(0);
    expect([...table.view.keys("feeds")]).toEqual([["f1", 5], ["f2", 1]]); // biome-ignore format: pairs
    table.apply(digest("e1", 1, { f1: 2 }), 0);
    stop();
    table.apply(digest("e1", 2, {}), 0);
    expect(changes).toEqual([["feeds", "f1", 2], ["feeds", "f2", 1], ["feeds", "f1", 5], ["feeds", "f2", 0]]); // biome-ignore format: list
    expect([...table.view.keys("feeds")]).toEqual([["f1", 3]]);
  });

  it("takes a round when it has all its parts, and none twice", () => {
    const table = createPresenceTable();
    table.apply(digest("e1", 3, { f1: 1 }, { part: 1, parts: 2 }), 0);
    expect(table.view.count("feeds", "f1")).toBe(0);
    table.apply(digest("e1", 3, { f2: 1 }, { part: 0, parts: 2 }), 0);
    expect([...table.view.keys("feeds").keys()].sort()).toEqual(["f1", "f2"]);
    table.apply(digest("e1", 3, { f9: 1 }), 0);
    table.apply(digest("e1", 2, { f9: 1 }), 0);
    expect(table.view.count("feeds", "f9")).toBe(0);
    // A part that was lost: the next round replaces it.
    table.apply(digest("e1", 4, { f3: 1 }, { part: 1, parts: 2 }), 0);
    table.apply(digest("e1", 5, { f4: 1 }), 0);
    expect([...table.view.keys("feeds").keys()]).toEqual(["f4"]);
  });

  it("forgets an edge that is silent, and replaces one that started anew", () => {
    const table = createPresenceTable();
    table.apply(digest("e1", 7, { f1: 1 }), 1_000);
    table.apply(digest("e2", 7, { f1: 1 }), 2_000);
    table.forget(1_001);
    expect(table.view.count("feeds", "f1")).toBe(1);
    table.apply(digest("e2", 0, { f2: 1 }, { boot: "b2" }), 2_500);
    expect([...table.view.keys("feeds").keys()]).toEqual(["f2"]);
    table.refresh(9_000);
    table.forget(9_000);
    expect(table.view.count("feeds", "f2")).toBe(1);
  });
});

import { describe, expect, it } from "vitest";
import { LaneState, PAGES, pageOf, type PageImage, type Round } from "./lane-state.ts";
import { UndeclaredKey } from "./types.ts";

interface Counter {
  n: number;
}
const codec = {
  newState: (): Counter => ({ n: 0 }),
  serialize: (s: Counter) => s,
  deserialize: (json: unknown) => json as Counter,
  sizeOf: () => 0,
};
/** Entries cost 220 bytes each with this codec. */
const ENTRY = 220;

function lane(budgetEntries = 1_000): LaneState<Counter> {
  return new LaneState(codec, budgetEntries * ENTRY);
}
function chunk(state: LaneState<Counter>, ...keys: string[]): void {
  state.forgetAbsent();
  state.beginChunk();
  for (const key of keys) state.touch(key).n++;
  state.endChunk();
}
function take(state: LaneState<Counter>, round: Round): PageImage[] {
  while (state.stepRound(round, 1_000));
  return round.images;
}
const linesOf = (images: PageImage[]): string[] => images.flatMap((image) => image.lines).sort();

describe("a snapshot round", () => {
  it("holds the state of its beginning, whatever the fold does before a page is serialised", () => {
    const state = lane();
    chunk(state, "a", "b");
    const round = state.beginRound();
    chunk(state, "a", "c");
    state.delete("b");
    expect(linesOf(take(state, round))).toEqual(['["a",{"n":1}]', '["b",{"n":1}]']);
  });

  it("takes only pages that changed since the last one", () => {
    const state = lane();
    chunk(state, "a", "b");
    const first = state.beginRound();
    take(state, first);
    state.commitRound(first);
    expect(state.isDirty).toBe(false);
    chunk(state, "b");
    const second = state.beginRound();
    expect(take(state, second).map((image) => image.page)).toEqual([pageOf("b")]);
  });

  it("stores an empty page when its last key was deleted", () => {
    const state = lane();
    chunk(state, "a");
    state.commitRound(state.beginRound());
    state.beginChunk();
    state.delete("a");
    state.endChunk();
    const round = state.beginRound();
    expect(take(state, round)).toEqual([{ page: pageOf("a"), lines: [], evicted: [] }]);
  });

  it("that failed leaves everything dirty for the next", () => {
    const state = lane();
    chunk(state, "a");
    const round = state.beginRound();
    take(state, round);
    state.abortRound(round);
    expect(linesOf(take(state, state.beginRound()))).toEqual(['["a",{"n":1}]']);
  });

  it("never runs twice at once", () => {
    const state = lane();
    state.beginRound();
    expect(() => state.beginRound()).toThrow(/already running/);
  });
});

describe("eviction", () => {
  it("lets the least recently used go, down to four fifths of the budget, when the round is durable", () => {
    const state = lane(5);
    for (const key of ["a", "b", "c", "d", "e", "f", "g"]) chunk(state, key);
    chunk(state, "a");
    expect(state.isOverBudget).toBe(true);
    const round = state.beginRound();
    const images = take(state, round);
    expect(images.flatMap((image) => image.evicted.map((entry) => entry.key)).sort()).toEqual(["b", "c", "d"]);
    expect(state.keys).toBe(7);
    state.commitRound(round);
    expect(state.keys).toBe(4);
    expect(state.bytes).toBe(4 * ENTRY);
    expect(state.coldCandidates(["a", "b", "new"])).toEqual(["b"]);
  });

  it("keeps a key that was touched after the round began", () => {
    const state = lane(1);
    for (const key of ["a", "b"]) chunk(state, key);
    const round = state.beginRound();
    chunk(state, "a");
    take(state, round);
    state.commitRound(round);
    expect(state.isHot("a")).toBe(true);
    expect(state.peek("a")).toEqual({ n: 2 });
  });

  it("refuses to create a key that may be cold and was not looked up", () => {
    const state = lane();
    state.addCold("a");
    state.beginChunk();
    expect(() => state.touch("a")).toThrow(UndeclaredKey);
    expect(() => state.peek("a")).toThrow(UndeclaredKey);
    state.markAbsent("a");
    expect(state.touch("a")).toEqual({ n: 0 });
  });

  it("loads a cold key unchanged: not dirty, and counted", () => {
    const state = lane();
    state.addCold("a");
    state.load("a", { n: 7 }, 1);
    expect(state.peek("a")).toEqual({ n: 7 });
    expect(state.isDirty).toBe(false);
    expect(state.bytes).toBe(ENTRY);
    chunk(state, "a");
    expect(state.peek("a")).toEqual({ n: 8 });
  });

  it("remembers a deletion of a cold key until it is durable, and does not load it back", () => {
    const state = lane();
    state.addCold("a");
    state.load("a", { n: 7 }, 1);
    state.beginChunk();
    state.delete("a");
    state.endChunk();
    state.load("a", { n: 7 }, 1);
    expect(state.isHot("a")).toBe(false);
    expect(state.coldCandidates(["a"])).toEqual([]);
    const round = state.beginRound();
    expect([...round.tombstones]).toEqual(["a"]);
    // Still told while the round is on its way.
    expect(state.coldCandidates(["a"])).toEqual([]);
    state.abortRound(round);
    expect([...state.beginRound().tombstones]).toEqual(["a"]);
  });

  it("remembers the deletion of a key that a running round evicts for the first time", () => {
    const state = lane(1);
    chunk(state, "old", "new");
    const round = state.beginRound();
    take(state, round);
    expect(round.evict).toContain("old");
    state.beginChunk();
    state.delete("old");
    state.endChunk();
    // The round stores the row of before; the next one must take it away again, and nobody may read it meanwhile.
    state.commitRound(round);
    expect(state.coldCandidates(["old"])).toEqual([]);
    state.load("old", { n: 1 }, 1);
    expect(state.isHot("old")).toBe(false);
    expect([...state.beginRound().tombstones]).toEqual(["old"]);
  });

  it("forgets the deletion when the key is made anew", () => {
    const state = lane();
    state.addCold("a");
    state.beginChunk();
    state.delete("a");
    state.touch("a").n = 1;
    state.endChunk();
    expect([...state.beginRound().tombstones]).toEqual([]);
  });

  it("counts no bytes of keys that came and went in one chunk", () => {
    const state = lane();
    state.beginChunk();
    state.touch("a");
    state.delete("a");
    state.touch("b");
    state.endChunk();
    expect(state.bytes).toBe(ENTRY);
  });
});

it("spreads keys over all pages", () => {
  const used = new Set(Array.from({ length: 5_000 }, (_, i) => pageOf(`t:${i}`)));
  expect(used.size).toBe(PAGES);
});

/**
 * Random foldings, snapshot rounds that succeed, fail and overlap with folding, crashes and fallbacks, all in memory: whatever happens, a key has
 * the value of the obvious map, and every snapshot that is stored gives back exactly the state of its position.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { LaneState, type Round } from "./lane-state.ts";

interface Counter {
  n: number;
}
const codec = {
  newState: (): Counter => ({ n: 0 }),
  serialize: (s: Counter) => s,
  deserialize: (json: unknown) => json as Counter,
  sizeOf: () => 0,
};
const ENTRY_BYTES = 220;
const BUDGET = 4 * ENTRY_BYTES;

/** The tables of snapshot-store.ts as maps, with the same rules. */
class Tables {
  readonly pages = new Map<number, { inSeq: number; lines: string[] }[]>();
  readonly cold = new Map<string, { inSeq: number; line: string | null }[]>();
  inSeq = 0;
  prevInSeq = 0;

  store(round: Round, inSeq: number): void {
    if (inSeq !== this.inSeq) this.prevInSeq = this.inSeq;
    this.inSeq = inSeq;
    const put = <V extends { inSeq: number }>(versions: V[], version: V): V[] => [
      ...versions.filter((old) => old.inSeq !== inSeq),
      version,
    ];
    for (const image of round.images) {
      this.pages.set(image.page, put(this.pages.get(image.page) ?? [], { inSeq, lines: image.lines }));
      for (const { key, line } of image.evicted) this.cold.set(key, put(this.cold.get(key) ?? [], { inSeq, line }));
    }
    for (const key of round.tombstones) if (this.cold.has(key)) this.cold.set(key, put(this.cold.get(key) ?? [], { inSeq, line: null }));
    for (const [page, versions] of this.pages) this.pages.set(page, this.#keep(versions));
    for (const [key, versions] of this.cold) this.cold.set(key, this.#keep(versions));
  }

  #keep<V extends { inSeq: number }>(versions: V[]): V[] {
    return versions.filter((old) => !versions.some((newer) => newer.inSeq > old.inSeq && newer.inSeq <= this.prevInSeq));
  }

  truncate(inSeq: number): void {
    for (const [page, versions] of this.pages)
      this.pages.set(
        page,
        versions.filter((version) => version.inSeq <= inSeq),
      );
    for (const [key, versions] of this.cold) {
      const left = versions.filter((version) => version.inSeq <= inSeq);
      if (left.length > 0) this.cold.set(key, left);
      else this.cold.delete(key);
    }
    this.inSeq = inSeq;
    this.prevInSeq = 0;
  }

  newestCold(key: string): string | null {
    return this.cold.get(key)?.toSorted((a, b) => b.inSeq - a.inSeq)[0]?.line ?? null;
  }

  restore(): LaneState<Counter> {
    const state = new LaneState(codec, BUDGET);
    for (const versions of this.pages.values()) {
      const newest = versions.filter((version) => version.inSeq <= this.inSeq).toSorted((a, b) => b.inSeq - a.inSeq)[0];
      for (const line of newest?.lines ?? []) {
        // Written by LaneState as [key, state].
        const [key, json] = JSON.parse(line) as [string, unknown];
        state.load(key, json, 1);
      }
    }
    for (const key of this.cold.keys()) state.addCold(key);
    return state;
  }
}

const KEYS = 15;
const key = fc.integer({ min: 0, max: KEYS - 1 }).map((n) => `k${n}`);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("touch" as const), keys: fc.array(key, { minLength: 1, maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("recreate" as const), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("begin" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("slice" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("commit" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fallback" as const) }) },
);

it("is the obvious map, and so is every snapshot of it", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 200, size: "max" }), (steps) => {
      const tables = new Tables();
      /** The obvious map at every position; index = position. */
      const history: Map<string, number>[] = [new Map()];
      let state = tables.restore();
      let running: { round: Round; inSeq: number } | undefined;
      const now = (): Map<string, number> => new Map(history.at(-1));

      const prefetch = (keys: string[]): void => {
        state.forgetAbsent();
        for (const cold of state.coldCandidates(keys)) {
          const line = tables.newestCold(cold);
          if (line === null) state.markAbsent(cold);
          else state.load(cold, (JSON.parse(line) as [string, unknown])[1], 1);
        }
      };
      const fold = (keys: string[], change: (map: Map<string, number>) => void): void => {
        prefetch(keys);
        state.beginChunk();
        const map = now();
        change(map);
        state.endChunk();
        history.push(map);
      };
      const check = (which: string): void => {
        prefetch([which]);
        expect([which, state.peek(which)?.n]).toEqual([which, now().get(which)]);
      };

      for (const [i, one] of steps.entries()) {
        if (one.kind === "touch") {
          fold(one.keys, (map) => {
            for (const each of one.keys) {
              state.touch(each).n++;
              map.set(each, (map.get(each) ?? 0) + 1);
            }
          });
        } else if (one.kind === "delete") {
          fold([one.key], (map) => {
            state.delete(one.key);
            map.delete(one.key);
          });
        } else if (one.kind === "recreate") {
          fold([one.key], (map) => {
            state.delete(one.key);
            state.touch(one.key).n = 100;
            map.set(one.key, 100);
          });
        } else if (one.kind === "begin" && !running) running = { round: state.beginRound(), inSeq: history.length - 1 };
        else if (one.kind === "slice" && running) state.stepRound(running.round, 0);
        else if (one.kind === "commit" && running) {
          while (state.stepRound(running.round, 1));
          tables.store(running.round, running.inSeq);
          state.commitRound(running.round);
          running = undefined;
        } else if (one.kind === "abort" && running) {
          state.abortRound(running.round);
          running = undefined;
        } else if (one.kind === "crash" || one.kind === "fallback") {
          if (one.kind === "fallback") tables.truncate(tables.prevInSeq);
          running = undefined;
          history.length = tables.inSeq + 1;
          state = tables.restore();
        }
        // One key only: looking loads it, and keys that stay cold are the interesting ones.
        check(`k${i % KEYS}`);
      }
      for (let i = 0; i < KEYS; i++) check(`k${i}`);
      expect(state.bytes).toBe(state.keys * ENTRY_BYTES);
    }),
    { numRuns: 150 },
  );
});

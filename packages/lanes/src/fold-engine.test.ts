import { describe, expect, it } from "vitest";
import { FoldFailure } from "./errors.ts";
import { FoldEngine, itemsOf } from "./fold-engine.ts";
import { tallyFamily, type TallyInput } from "./fixtures/tally.ts";
import { LaneState } from "./lane-state.ts";

const family = tallyFamily();
const encode = (...inputs: (TallyInput | string)[]): Uint8Array =>
  new TextEncoder().encode(inputs.map((input) => (typeof input === "string" ? input : JSON.stringify(input))).join("\n"));
const engine = () => new FoldEngine(family, new LaneState(family, 1e9), (reg) => ({ reg }));
const never = () => false;

describe("items of a message", () => {
  it("keep their place, good or bad, and mark the last", () => {
    const items = itemsOf(family, { seq: 4, data: encode({ id: "1", key: "a", n: 1 }, "?") }, never);
    expect(items).toEqual([
      { seq: 4, index: 0, isLast: false, kind: "input", input: { id: "1", key: "a", n: 1 } },
      { seq: 4, index: 1, isLast: true, kind: "bad", reason: "not a tally input", raw: "?" },
    ]);
  });

  it("are one bad item when decoding throws or finds nothing", () => {
    const broken = {
      decode: () => {
        throw new Error("no");
      },
    };
    expect(itemsOf(broken, { seq: 1, data: encode("x") }, never)).toEqual([
      { seq: 1, index: 0, isLast: true, kind: "bad", reason: "not decodable: no", raw: "x" },
    ]);
    expect(itemsOf({ decode: () => [] }, { seq: 1, data: encode("x") }, never)).toMatchObject([{ kind: "bad", reason: "no items" }]);
  });

  it("skip what is known to be poison", () => {
    const items = itemsOf(family, { seq: 2, data: encode({ id: "1", key: "a", n: 1 }) }, (seq, index) => seq === 2 && index === 0);
    expect(items).toEqual([{ seq: 2, index: 0, isLast: true, kind: "skipped" }]);
  });
});

describe("folding", () => {
  it("collects outputs per item, and always the last position", () => {
    const items = itemsOf(
      family,
      { seq: 1, data: encode({ id: "1", key: "a", n: 1 }, { id: "1", key: "a", n: 1 }, { id: "1", key: "a", n: 1 }) },
      never,
    );
    const { outputs } = engine().fold(items, 0, true);
    expect(outputs.map(({ index, isLast, outputs: list }) => ({ index, isLast, n: list.length }))).toEqual([
      { index: 0, isLast: false, n: 1 },
      { index: 2, isLast: true, n: 0 },
    ]);
  });

  it("puts nothing out in a replay, with the same state", () => {
    const items = itemsOf(family, { seq: 1, data: encode({ id: "1", key: "a", n: 1, effect: true }) }, never);
    const replay = engine();
    expect(replay.fold(items, 0, false)).toEqual({ outputs: [], effects: [] });
    const again = itemsOf(family, { seq: 2, data: encode({ id: "2", key: "a", n: 1 }) }, never);
    expect(replay.fold(again, 0, true).outputs[0]?.outputs[0]?.wire).toContain('"count":2');
  });

  it("names the item that made it throw", () => {
    const items = itemsOf(family, { seq: 9, data: encode({ id: "1", key: "a", n: 1 }, { id: "2", key: "a", n: 1, boom: true }) }, never);
    expect(() => engine().fold(items, 0, true)).toThrow(FoldFailure);
    try {
      engine().fold(items, 0, true);
    } catch (error) {
      expect(error).toMatchObject({ at: { seq: 9, index: 1 } });
    }
  });

  it("names the config records that inputs speak of and that are missing, each once", () => {
    const known = {
      ...family,
      missingConfig: (config: { reg: number }, input: TallyInput) => (input.n > config.reg ? input.key : undefined),
    };
    const folding = new FoldEngine(known, new LaneState(known, 1e9), (reg) => ({ reg }));
    const inputs = [1, 5, 7, 5].map((n, i): TallyInput => ({ id: `${i}`, key: `k${n}`, n }));
    const items = itemsOf(known, { seq: 1, data: encode(...inputs, "?") }, never);
    expect(folding.missingConfig(items, 4)).toEqual(["k5", "k7"]);
    expect(folding.missingConfig(items, 9)).toEqual([]);
    expect(engine().missingConfig(items, 4)).toEqual([]);
  });

  it("asks for the config of the recorded position once per change", () => {
    const asked: number[] = [];
    const state = new LaneState(family, 1e9);
    const folding = new FoldEngine(family, state, (reg) => (asked.push(reg), { reg }));
    for (const reg of [3, 3, 5, 5, 3]) folding.fold([], reg, true);
    expect(asked).toEqual([3, 5, 3]);
  });
});

/** The lane engine against real NATS and PostgreSQL, one worker at a time. Crashes, pauses and moves: ownership.int.test.ts. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";
import { Harness } from "./fixtures/harness.ts";
import { tallyModel, type TallyInput } from "./fixtures/tally.ts";
import { refold } from "./refold.ts";
import { tallyFamily } from "./fixtures/tally.ts";
import type { LaneWorker } from "./worker.ts";
import type { TallyState } from "./fixtures/tally.ts";

let harness: Harness;
let worker: LaneWorker<TallyState> | undefined;

beforeAll(async () => {
  harness = await Harness.open(inject("databaseUrl"));
});
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});
afterAll(() => harness.close());

const inputs = (from: number, count: number): TallyInput[] =>
  Array.from({ length: count }, (_, i) => ({ id: `i${from + i}`, key: `k${(from + i) % 7}`, n: from + i }));

describe("one worker", () => {
  it("folds what was there before it and what comes after, in order, once", async () => {
    const before = inputs(0, 100);
    for (let i = 0; i < before.length; i += 10) await harness.put(0, ...before.slice(i, i + 10));
    worker = await harness.start("w-0");
    await worker.settled();
    const after = inputs(100, 50);
    await harness.put(0, ...after);
    await worker.settled();
    const expected = tallyModel([...before, ...after], 0).wires;
    expect((await harness.outputs(0)).map((output) => output.wire)).toEqual(expected);
  });

  it("restarts without a repeat and with the same state as a fold from zero", async () => {
    worker = await harness.start("w-0");
    await harness.put(0, ...inputs(140, 20));
    await worker.settled();
    const live = await worker.stateHash(0);
    const deps = {
      nats: harness.nats,
      pool: harness.pool,
      registry: harness.registry,
      configAt: (reg: number) => ({ reg }),
      log: harness.log,
    };
    const folded = await refold(tallyFamily(), 0, deps);
    expect(folded).toMatchObject({ in: live.in, hash: live.hash, keys: live.keys, isComplete: true });
    const ids = (await harness.outputs(0)).map((output) => output.wire);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

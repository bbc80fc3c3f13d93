/**
 * Determinism (I4) by property: random logs with duplicates, deletions, pairs of keys and poison, folded with random restarts,
 * hand-overs and a tiny memory budget, give exactly the outputs of the obvious model and the state of a fold from zero.
 */
import fc from "fast-check";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { Harness } from "./fixtures/harness.ts";
import { tallyFamily, type TallyInput, tallyModel } from "./fixtures/tally.ts";
import { refold } from "./refold.ts";

const KEYS = 24;
const key = fc.integer({ min: 0, max: KEYS - 1 }).map((n) => `k${n}`);
const input = fc.record(
  { id: fc.integer({ min: 0, max: 60 }).map((n) => `i${n}`), key, n: fc.integer({ min: 0, max: 999 }), also: key, del: fc.constant(true) },
  { requiredKeys: ["id", "key", "n"] },
);
const action = fc.oneof(
  { weight: 8, arbitrary: fc.array(input, { minLength: 1, maxLength: 12 }).map((inputs) => ({ kind: "put" as const, inputs })) },
  { weight: 1, arbitrary: fc.constant({ kind: "garbage" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "settle" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "crash" as const }) },
);

const SEED = Number(process.env["MODEL_SEED"] ?? Date.now() % 1_000_000);
const RUNS = 6;
let adminUrl: string;
beforeAll(() => {
  adminUrl = inject("databaseUrl");
});
const open = new Set<Harness>();
afterAll(async () => {
  for (const harness of open) await harness.close();
});

it(`random histories fold like the model (seed ${SEED})`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 15, maxLength: 40, size: "max" }), async (actions) => {
      const harness = await Harness.open(adminUrl, { laneCount: 1 });
      open.add(harness);
      const options = { hotBytesPerLane: 3_000, snapshotEveryMs: 15, maxFrameBytes: 2_000 };
      const list: TallyInput[] = [];
      let worker = await harness.start("w-0", options);
      const abandoned: (typeof worker)[] = [];
      for (const step of actions) {
        if (step.kind === "put") {
          list.push(...step.inputs);
          await harness.put(0, ...step.inputs);
        } else if (step.kind === "garbage") await harness.put(0, "{]");
        else if (step.kind === "settle") await worker.settled();
        else if (step.kind === "restart") {
          await worker.stop();
          worker = await harness.start("w-0", options);
        } else {
          // As after a crash: the old process says nothing and finds itself replaced.
          abandoned.push(worker);
          worker = await harness.start("w-0", options);
          await until("the successor owns the lane", () => worker.lanes()[0]?.state === "live");
        }
      }
      await until("owned", () => worker.lanes()[0]?.state === "live");
      await worker.settled();
      expect((await harness.outputs(0)).map((output) => output.wire)).toEqual(tallyModel(list, 0).wires);
      const live = await worker.stateHash(0);
      const deps = {
        nats: harness.nats,
        pool: harness.pool,
        registry: harness.registry,
        configAt: (reg: number) => ({ reg }),
        log: harness.log,
      };
      expect(await refold(tallyFamily(), 0, deps)).toMatchObject({ hash: live.hash, keys: live.keys, isComplete: true });
      expect(live.keys).toBe(tallyModel(list, 0).states.size);
      await worker.stop();
      for (const old of abandoned) await old.stop();
      open.delete(harness);
      await harness.close();
    }),
    { seed: SEED, numRuns: RUNS, endOnFailure: true },
  );
}, 120_000);

/**
 * Ownership under faults, with workers as real processes: killed at every crash point, paused beyond their lease, joined late.
 * After each fault the stored outputs must be exactly those of the model: nothing lost, nothing twice, in order.
 */
import { setInterval } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { until } from "@headwater/testkit";
import { Harness } from "./fixtures/harness.ts";
import { tallyFamily, type TallyInput, tallyModel } from "./fixtures/tally.ts";
import { refold } from "./refold.ts";
import { CRASH_POINTS, Replaced } from "./types.ts";

/** Bounds on one host (T7), with the slack a shared machine needs. */
const RESTART_WITHIN_MS = 3_000;
const TAKE_OVER_WITHIN_MS = 8_000;
const SLACK = 1.5;

let harness: Harness;
beforeEach(async () => {
  harness = await Harness.open(inject("databaseUrl"));
});
afterEach(() => harness.close());

/** Inputs of a lane that may wait to be folded: a start that takes long on a busy machine must not make the work behind it longer. */
const MOST_WAITING = 300;

/** Puts one message a few milliseconds apart until stopped; what is put is what is acknowledged. */
function traffic(lanes: number): { put: TallyInput[][]; stop(): Promise<void> } {
  const put: TallyInput[][] = Array.from({ length: lanes }, () => []);
  let isOn = true;
  let n = 0;
  const running = (async () => {
    for await (const _ of setInterval(5)) {
      if (!isOn) return;
      for (let lane = 0; lane < lanes; lane++) {
        if ((put[lane]?.length ?? 0) - harness.seen(lane) > MOST_WAITING) continue;
        const inputs = Array.from({ length: 3 }, (): TallyInput => ({ id: `i${n++}`, key: `k${n % 5}`, n, also: `m${n % 3}` }));
        await harness.put(lane, ...inputs);
        put[lane]?.push(...inputs);
      }
    }
  })();
  // A test that failed closes the connection under it; that failure is the one to report.
  running.catch(() => undefined);
  return {
    put,
    async stop() {
      isOn = false;
      await running;
    },
  };
}

async function outputCount(): Promise<number> {
  return (await harness.outputs()).length;
}

async function expectExactly(put: TallyInput[][]): Promise<void> {
  await until(
    "every lane is folded",
    async () => {
      const outputs = await harness.outputs();
      return put.every((inputs, lane) => outputs.filter((output) => output.lane === lane).length >= inputs.length);
    },
    20_000,
  );
  for (const [lane, inputs] of put.entries()) {
    const wires = (await harness.outputs(lane)).map((output) => output.wire);
    expect(wires).toEqual(tallyModel(inputs, 0).wires);
  }
}

async function nextOutputWithin(ms: number): Promise<number> {
  const begin = performance.now();
  const before = await outputCount();
  await until("a next output", async () => (await outputCount()) > before, ms);
  return performance.now() - begin;
}

describe("kill -9 and restart under the same id", () => {
  it.each(CRASH_POINTS)(
    "at %s",
    async (point) => {
      const load = traffic(harness.laneCount);
      const lanes = { snapshotEveryMs: 300 };
      const victim = await harness.spawn("w-0", { crash: { at: point, after: point === "after_take_over" ? 0 : 3 }, lanes });
      // The fault fired: the process killed itself.
      expect((await victim.exited).signal).toBe("SIGKILL");
      await harness.spawn("w-0", { lanes });
      expect(await nextOutputWithin(RESTART_WITHIN_MS * SLACK)).toBeLessThan(RESTART_WITHIN_MS * SLACK);
      await load.stop();
      await expectExactly(load.put);
      const deps = {
        nats: harness.nats,
        pool: harness.pool,
        registry: harness.registry,
        configAt: (reg: number) => ({ reg }),
        log: harness.log,
      };
      const folded = await refold(tallyFamily(), 0, deps);
      expect(folded.isComplete).toBe(true);
    },
    60_000,
  );
});

describe("several workers", () => {
  it("another worker takes over the lanes of a killed one", async () => {
    const load = traffic(harness.laneCount);
    const first = await harness.spawn("w-0");
    await nextOutputWithin(5_000);
    await harness.spawn("w-1");
    first.child.kill("SIGKILL");
    await first.exited;
    const begin = performance.now();
    const before = new Map((await harness.headers()).map(({ lane, header }) => [lane, header.epoch]));
    await until(
      "every lane has an owner with outputs",
      async () => {
        const headers = await harness.headers();
        return [0, 1].every((lane) =>
          headers.some((frame) => frame.lane === lane && frame.header.epoch > (before.get(lane) ?? 0) && frame.header.n > 0),
        );
      },
      TAKE_OVER_WITHIN_MS * SLACK,
    );
    expect(performance.now() - begin).toBeLessThan(TAKE_OVER_WITHIN_MS * SLACK);
    await load.stop();
    await expectExactly(load.put);
  }, 60_000);

  it("a paused owner is replaced, and is refused when it wakes up", async () => {
    const load = traffic(harness.laneCount);
    const zombie = await harness.spawn("w-0");
    await nextOutputWithin(5_000);
    zombie.child.kill("SIGSTOP");
    await harness.spawn("w-1");
    const epochs = (await harness.headers()).map(({ header }) => header.epoch);
    const oldest = Math.max(...epochs);
    await until(
      "the lanes moved",
      async () => (await harness.headers()).filter(({ header }) => header.epoch > oldest && header.n > 0).length > 5,
      15_000,
    );
    zombie.child.kill("SIGCONT");
    await nextOutputWithin(5_000);
    // It is a member again and gets its share back through the front door.
    await until(
      "the woken worker owns a lane again",
      async () => {
        const owners = new Map<number, number>();
        for (const { lane, header } of await harness.headers()) owners.set(lane, header.epoch);
        return new Set(owners.values()).size === harness.laneCount && [...owners.values()].every((epoch) => epoch > oldest);
      },
      15_000,
    );
    await load.stop();
    await expectExactly(load.put);
    // Epochs never go back within a lane.
    for (let lane = 0; lane < harness.laneCount; lane++) {
      const seen = (await harness.headers()).filter((frame) => frame.lane === lane).map((frame) => frame.header.epoch);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
    }
  }, 90_000);

  it("a late joiner gets its share, and leaving gives it back", async () => {
    const first = await harness.start("w-0");
    await until("both lanes", () => first.lanes().filter((lane) => lane.state === "live").length === 2);
    const second = await harness.start("w-1");
    await until("one lane each", () => first.lanes().length === 1 && second.lanes().length === 1 && second.lanes()[0]?.state === "live");
    const load = traffic(harness.laneCount);
    await nextOutputWithin(3_000);
    await second.stop();
    await until("all lanes are back", () => first.lanes().filter((lane) => lane.state === "live").length === 2, 3_000);
    await load.stop();
    await first.settled();
    await first.stop();
    await expectExactly(load.put);
  }, 60_000);

  it("an owner whose clock stands still is fenced, and gives in to its successor under the same id", async () => {
    // Its lease never looks old to it.
    const frozen: { at?: number } = {};
    const clock = { now: () => Date.now(), monotonicMs: () => frozen.at ?? performance.now() };
    const resume = Promise.withResolvers<void>();
    let isHeldBack = false;
    let armed = false;
    const zombie = await harness.start(
      "w-0",
      {
        onCrashPoint: async (point) => {
          if (point !== "before_publish" || !armed || isHeldBack) return;
          isHeldBack = true;
          await resume.promise;
        },
      },
      { clock },
    );
    await zombie.settled();
    armed = true;
    frozen.at = performance.now();
    const inputs = Array.from({ length: 10 }, (_, i): TallyInput => ({ id: `z${i}`, key: "k", n: i }));
    await harness.put(0, ...inputs);
    await until("the old owner holds its frame back", () => isHeldBack);
    // A new process in the same slot takes the lanes at once.
    const successor = await harness.start("w-0");
    await successor.settled();
    const before = (await harness.outputs(0)).map((output) => output.wire);
    expect(before).toEqual(tallyModel(inputs, 0).wires);
    resume.resolve();
    await until("the old owner noticed", () => zombie.lanes().length === 0);
    expect((await harness.outputs(0)).map((output) => output.wire)).toEqual(before);
    // Two processes under one id: the older one gives in for good.
    expect(harness.fatal).toEqual([expect.any(Replaced)]);
    expect(zombie.lanes()).toEqual([]);
    await successor.stop();
    await zombie.stop();
  }, 60_000);
});

/**
 * The lane engine against real NATS and PostgreSQL, workers in this process. Each test folds its own input in fresh lanes.
 * Killed and paused processes: ownership.int.test.ts. Snapshots and eviction: snapshots.int.test.ts.
 */
import { callLane, purgeStream, RpcError, streamState } from "@headwater/messaging";
import { laneOf, subjects } from "@headwater/protocol";
import { systemClock } from "@headwater/runtime";
import { collectingLogger, until } from "@headwater/testkit";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { Harness } from "./fixtures/harness.ts";
import { tallyFamily, type TallyInput, tallyModel, type TallyState } from "./fixtures/tally.ts";
import { refold } from "./refold.ts";
import { LogReplaced, Replaced } from "./types.ts";
import type { LaneWorker } from "./worker.ts";

let harness: Harness;
let workers: LaneWorker<TallyState>[] = [];
beforeEach(async () => {
  harness = await Harness.open(inject("databaseUrl"));
});
afterEach(async () => {
  for (const worker of workers) await worker.stop();
  workers = [];
  await harness.close();
});

const start: Harness["start"] = async (...args) => {
  const worker = await harness.start(...args);
  workers.push(worker);
  return worker;
};
const stop = async (worker: LaneWorker<TallyState>): Promise<void> => {
  workers = workers.filter((other) => other !== worker);
  await worker.stop();
};
const inputs = (from: number, count: number): TallyInput[] =>
  Array.from({ length: count }, (_, i) => ({ id: `i${from + i}`, key: `k${(from + i) % 7}`, n: from + i }));
const wires = async (lane = 0): Promise<string[]> => (await harness.outputs(lane)).map((output) => output.wire);
const refoldLane = (lane = 0) =>
  refold(tallyFamily(), lane, {
    nats: harness.nats,
    pool: harness.pool,
    registry: harness.registry,
    configAt: (reg) => ({ reg }),
    log: harness.log,
  });

/** A registry record with any content: only its position matters here. */
async function changeConfig(id: string): Promise<number> {
  const record = { v: 1, type: "site.updated", aggregate: "site", id, at: new Date(0).toISOString(), data: {} };
  const ack = await harness.publisher.publish(subjects.registry("site", id), JSON.stringify(record));
  await harness.registry.waitFor(ack.seq);
  return ack.seq;
}

describe("folding", () => {
  it("takes what was there before it and what comes after, in order, once", async () => {
    const before = inputs(0, 100);
    for (let i = 0; i < before.length; i += 10) await harness.put(0, ...before.slice(i, i + 10));
    const worker = await start("w-0");
    await worker.settled();
    const after = [...inputs(100, 50), ...inputs(90, 20)];
    await harness.put(0, ...after);
    await worker.settled();
    expect(await wires()).toEqual(tallyModel([...before, ...after], 0).wires);
  });

  it("restarts without a repeat, with the state that a fold from zero has", async () => {
    const first = await start("w-0");
    await harness.put(0, ...inputs(0, 20));
    await first.settled();
    await stop(first);
    await harness.put(0, ...inputs(20, 20));
    const second = await start("w-0");
    await second.settled();
    expect(await wires()).toEqual(tallyModel(inputs(0, 40), 0).wires);
    const live = await second.stateHash(0);
    expect(await refoldLane()).toMatchObject({ in: live.in, hash: live.hash, keys: live.keys, isComplete: true });
  });

  it("tells the routing keys of a frame once, and each output's index among them", async () => {
    const worker = await start("w-0");
    await harness.put(0, { id: "1", key: "a1", n: 1 }, { id: "2", key: "b1", n: 1 }, { id: "3", key: "a2", n: 1 });
    await worker.settled();
    const frame = (await harness.headers()).find(({ header }) => header.n > 0);
    expect(frame?.header).toMatchObject({ family: "signals", gen: "g1", in: 1, n: 3, keys: ["tenant-a", "tenant-b"] });
    expect(frame?.header.at).toBeUndefined();
  });

  it("moves its position at least once a second when inputs put nothing out", async () => {
    const worker = await start("w-0", { emptyFrameMs: 50 });
    await harness.put(0, ...inputs(0, 5));
    await worker.settled();
    const seq = await harness.put(0, ...inputs(0, 5));
    await until(
      "an empty frame with the new position",
      async () => (await harness.headers()).some(({ header }) => header.in === seq && header.n === 0),
      3_000,
    );
  });

  it("repeats its last frame when idle, so that it does not age out of the stream", async () => {
    await start("w-0", { idleFrameMs: 100 });
    await until(
      "several idle frames of a lane without input",
      async () => (await harness.headers()).filter(({ lane }) => lane === 1).length > 3,
      5_000,
    );
  });

  it("splits a chunk over frames on item boundaries, and resumes inside a message", async () => {
    let published = 0;
    const held = Promise.withResolvers<void>();
    const first = await start("w-0", {
      maxFrameBytes: 1_000,
      onCrashPoint: async (point) => {
        // Frame 1 of the message is out, frame 2 is not.
        if (point === "before_publish" && ++published === 2) await held.promise;
      },
    });
    await until("live", () => first.lanes().filter((lane) => lane.state === "live").length === 2);
    const list = inputs(0, 40);
    await harness.put(0, ...list);
    await until("the first part is out", () => published === 2);
    const header = (await harness.headers()).at(-1)?.header;
    expect(header).toMatchObject({ in: 1, n: expect.any(Number), at: expect.any(Number) });
    expect(header?.at).toBeLessThan(40);
    // The same slot again, as after a crash.
    const second = await start("w-0", { maxFrameBytes: 1_000 });
    await second.settled();
    held.resolve();
    expect(harness.fatal).toEqual([expect.any(Replaced)]);
    expect(await wires()).toEqual(tallyModel(list, 0).wires);
    const live = await second.stateHash(0);
    expect((await refoldLane()).hash).toBe(live.hash);
  });

  it("stores side effects before the frame that follows from them", async () => {
    const worker = await start("w-0");
    await harness.put(0, { id: "x", key: "a", n: 1, effect: true });
    await worker.settled();
    expect(await streamState(harness.nats, "ERASURES")).toMatchObject({ messages: 1 });
  });
});

describe("config", () => {
  it("is read at a recorded position, and a replay uses the position of its time", async () => {
    const first = await start("w-0", { snapshotEveryMs: 3_600_000 });
    await harness.put(0, ...inputs(0, 10));
    await first.settled();
    const reg = await changeConfig("s1");
    await harness.put(0, ...inputs(10, 10));
    await first.settled();
    const lines = await wires();
    // Wire lines are JSON made by the tally family.
    expect(lines.map((wire) => (JSON.parse(wire) as { reg: number }).reg)).toEqual([...Array(10).fill(0), ...Array(10).fill(reg)]);
    const header = (await harness.headers()).findLast((frame) => frame.lane === 0)?.header;
    expect(header).toMatchObject({
      reg,
      regs: [
        [1, 0],
        [2, reg],
      ],
    });
    // The live state was folded with two configs; from zero, with the recorded history, it is the same.
    const live = await first.stateHash(0);
    expect((await refoldLane()).hash).toBe(live.hash);
    await changeConfig("s2");
    const second = await start("w-0");
    await until("the lane is live again", () => second.lanes().filter((lane) => lane.state === "live").length === 2, 5_000);
    expect(await second.stateHash(0)).toMatchObject({ hash: live.hash });
  });
});

describe("bad input", () => {
  it("goes to the dead letters and holds nothing up", async () => {
    const worker = await start("w-0");
    const seq = await harness.put(0, { id: "1", key: "a", n: 1 }, "{not json", "", { id: "2", key: "a", n: 2 });
    await harness.put(0, "\u0000");
    await worker.settled();
    expect((await wires()).length).toBe(2);
    const stream = harness.inputStream(0);
    expect(await harness.deadLetters()).toEqual([
      expect.objectContaining({ reason: "not a tally input", origin: { stream, seq, index: 1 }, data: "{not json" }),
      expect.objectContaining({ origin: { stream, seq, index: 2 } }),
      expect.objectContaining({ origin: { stream, seq: seq + 1, index: 0 }, data: "\u0000" }),
    ]);
  });

  it("that makes the fold throw is tried three times, then put aside; every replay skips it too", async () => {
    const { log, messages } = collectingLogger();
    const worker = await start("w-0", {}, { log });
    const good = inputs(0, 6);
    await harness.put(0, ...good.slice(0, 3), { id: "bad", key: "k0", n: 1, boom: true }, ...good.slice(3));
    await harness.put(0, ...inputs(6, 3));
    await worker.settled();
    expect(await wires()).toEqual(tallyModel(inputs(0, 9), 0).wires);
    expect(messages().filter((message) => message === "lanes.fold_failed")).toHaveLength(3);
    expect(await harness.deadLetters()).toEqual([
      expect.objectContaining({
        reason: expect.stringContaining("boom at 1/3"),
        origin: { stream: harness.inputStream(0), seq: 1, index: 3 },
      }),
    ]);
    const live = await worker.stateHash(0);
    expect((await refoldLane()).hash).toBe(live.hash);
    await stop(worker);
    const again = await start("w-0");
    await until("live again", () => again.lanes().filter((lane) => lane.state === "live").length === 2);
    expect(await again.stateHash(0)).toMatchObject({ hash: live.hash });
    expect(await harness.deadLetters()).toHaveLength(1);
  });
});

it("an output that no message can hold is poison too", async () => {
  const worker = await start("w-0");
  await harness.put(0, { id: "1", key: "a", n: 1 }, { id: "2", key: "b", n: 1, huge: 1_200_000 }, { id: "3", key: "a", n: 1 });
  await worker.settled();
  expect((await wires()).map((wire) => (JSON.parse(wire) as { id: string }).id)).toEqual(["1", "3"]);
  expect(await harness.deadLetters()).toMatchObject([{ origin: { seq: 1, index: 1 } }]);
});

describe("requests to the owner", () => {
  it("are answered with the caller's own write included", async () => {
    const worker = await start("w-0");
    worker.handle("sum", async (context, payload) => {
      // Sent by this test.
      const { key, seq } = payload as { key: string; seq: number };
      await context.settledAt({ in: seq });
      return context.read(key, (state) => state?.sum ?? null);
    });
    const key = "visitor-1";
    const lane = laneOf(key, harness.laneCount);
    const seq = await harness.put(lane, { id: "1", key, n: 5 });
    expect(await callLane(harness.nats, "visits", lane, "sum", { key, seq })).toBe(5);
    expect(await callLane(harness.nats, "visits", lane, "sum", { key: "nobody", seq })).toBeNull();
    await expect(worker.read("nobody", (state) => state)).resolves.toBeUndefined();
  });

  it("follow a lane that moves, and fail with not_owner only when the deadline is over", async () => {
    const first = await start("w-0");
    const answer = (worker: LaneWorker<TallyState>, name: string): void => worker.handle("who", () => name);
    answer(first, "first");
    expect(await callLane(harness.nats, "visits", 0, "who", {})).toBe("first");
    await stop(first);
    const asked = callLane(harness.nats, "visits", 0, "who", {}, { deadlineMs: 5_000 });
    const second = await start("w-1");
    answer(second, "second");
    expect(await asked).toBe("second");
    await expect(callLane(harness.nats, "visits", 0, "nothing", {}, { deadlineMs: 100 })).rejects.not.toBeInstanceOf(RpcError);
  });
});

describe("faults of what it stands on", () => {
  it("nats-server is killed under load: nothing lost, nothing twice", async () => {
    const worker = await start("w-0");
    const put: TallyInput[] = [];
    for (let i = 0; i < 300; i++) {
      const input: TallyInput = { id: `i${i}`, key: `k${i % 3}`, n: i };
      for (;;) {
        try {
          await harness.publisher.publish(subjects.lane("visits", 0), JSON.stringify(input), { msgId: input.id, timeoutMs: 500 });
          break;
        } catch {
          // Unknown outcome: the same message under the same id until it is acknowledged.
          await until("the connection is back", () => harness.nats.connected());
        }
      }
      put.push(input);
      if (i === 100) harness.server.kill();
    }
    await worker.settled({ withinMs: 20_000 });
    expect(await wires()).toEqual(tallyModel(put, 0).wires);
  }, 60_000);

  it("a lease taken away by an operator: the lane is taken again, once", async () => {
    const worker = await start("w-0");
    await until("live", () => worker.lanes().filter((lane) => lane.state === "live").length === 2);
    await harness.put(0, ...inputs(0, 5));
    await worker.settled();
    const before = worker.lanes()[0]?.epoch ?? 0;
    await harness.publisher.publish("$KV.lease.l.tally.0", "", { headers: { "KV-Operation": "DEL" } });
    await until("a new epoch", () => (worker.lanes()[0]?.epoch ?? 0) > before && worker.lanes()[0]?.state === "live");
    await harness.put(0, ...inputs(5, 5));
    await worker.settled();
    expect(await wires()).toEqual(tallyModel(inputs(0, 10), 0).wires);
    const epochs = new Set((await harness.headers()).filter(({ lane }) => lane === 0).map(({ header }) => header.epoch));
    expect(epochs.size).toBe(2);
  });

  it("stops in time when the broker is gone for good", async () => {
    const own = await Harness.open(inject("databaseUrl"));
    const worker = await own.start("w-0");
    await own.put(0, ...inputs(0, 5));
    await worker.settled();
    await own.server.stop();
    await until("the loss was noticed", () => !own.nats.connected());
    const begin = performance.now();
    await worker.stop();
    expect(performance.now() - begin).toBeLessThan(15_000);
    await own.close();
  }, 40_000);

  it("continues from the snapshot when the last frame has left its stream", async () => {
    const first = await start("w-0");
    await harness.put(0, ...inputs(0, 10));
    await first.settled();
    await stop(first);
    const { lastSeq } = await streamState(harness.nats, "SIGNALS");
    await purgeStream(harness.nats, "SIGNALS", { seq: lastSeq + 1 });
    const second = await start("w-0");
    await harness.put(0, ...inputs(10, 10));
    await second.settled();
    expect(await wires()).toEqual(tallyModel(inputs(0, 20), 0).wires);
  });

  it("says loudly when input is gone before it was folded, and goes on", async () => {
    await harness.put(0, ...inputs(0, 10));
    await harness.put(0, ...inputs(10, 10));
    await purgeStream(harness.nats, harness.inputStream(0), { seq: 2 });
    const { log, messages } = collectingLogger("error");
    const worker = await start("w-0", {}, { log });
    await worker.settled();
    expect(await wires()).toEqual(tallyModel(inputs(10, 10), 0).wires);
    expect(worker.lanes()[0]?.lostInputs).toBe(1);
    expect(messages()).toContain("lanes.input_lost");
  });

  it("counts input that a lossy log dropped, without a complaint", async () => {
    await harness.put(0, ...inputs(0, 10));
    await harness.put(0, ...inputs(10, 10));
    await purgeStream(harness.nats, harness.inputStream(0), { seq: 2 });
    const { log, messages } = collectingLogger("warn");
    const worker = await start("w-0", {}, { log, family: { ...tallyFamily(), isInputLossy: true } });
    await worker.settled();
    expect(await wires()).toEqual(tallyModel(inputs(10, 10), 0).wires);
    expect(worker.lanes()[0]?.lostInputs).toBe(1);
    expect(messages()).toEqual([]);
  });

  it("starts again, loudly, when the log is another one: the broker lost its store, the database did not", async () => {
    const first = await start("w-0");
    await harness.put(0, ...inputs(0, 10));
    await harness.put(0, ...inputs(10, 10));
    await first.settled();
    await stop(first);
    for (const name of [harness.inputStream(0), "SIGNALS"]) await harness.recreate(name);
    await harness.put(0, ...inputs(50, 5));
    const { log, messages } = collectingLogger("error");
    const second = await start("w-0", {}, { log });
    await second.settled();
    expect(messages()).toContain("lanes.log_replaced");
    expect(await streamState(harness.nats, "SIGNALS")).toMatchObject({ lastSeq: expect.any(Number) });
    const live = await second.stateHash(0);
    expect((await refoldLane()).hash).toBe(live.hash);
    expect(live.in).toBe(1);
  });

  it("stops rather than guess when only the input was lost", async () => {
    const first = await start("w-0");
    await harness.put(0, ...inputs(0, 10));
    await harness.put(0, ...inputs(10, 10));
    await first.settled();
    await stop(first);
    await harness.recreate(harness.inputStream(0));
    await start("w-0");
    await until("it says so", () => harness.fatal.length > 0);
    expect(harness.fatal[0]).toBeInstanceOf(LogReplaced);
  });

  it("refuses to start when input is kept too short for its snapshots", async () => {
    await expect(start("w-0", { maxSnapshotAgeMs: 30 * 3_600_000 })).rejects.toThrow(/at least three times/);
  });

  it("needs no wall clock: leases survive a jump", async () => {
    let offset = 0;
    const clock = { now: () => Date.now() + offset, monotonicMs: () => systemClock.monotonicMs() };
    const worker = await start("w-0", {}, { clock });
    await until("live", () => worker.lanes().filter((lane) => lane.state === "live").length === 2);
    const epochs = worker.lanes().map((lane) => lane.epoch);
    offset = -3_600_000;
    await harness.put(0, ...inputs(0, 3));
    await worker.settled();
    offset = 3_600_000;
    await harness.put(0, ...inputs(3, 3));
    await worker.settled();
    expect(worker.lanes().map((lane) => lane.epoch)).toEqual(epochs);
  });
});

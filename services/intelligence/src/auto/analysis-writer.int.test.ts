/** Frames of ANALYSES with a real broker: order, one frame at a time, and owners that were replaced. */
import { ensureStreams, type Nats, openNats, openReader } from "@headwater/messaging";
import { decodeFrameHeader, type FrameHeader, frameLineRanges, LANE_COUNT, laneOf, streamSpecs } from "@headwater/protocol";
import { systemClock } from "@headwater/runtime";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AnalysisOutput } from "../ports.ts";
import { createAnalysisWriter, type FrameSink, NotOurLane } from "./analysis-writer.ts";

let broker: TestNats;
let nats: Nats;
let feedId = "";
let feeds = 0;
const usedLanes = new Set<number>();
beforeAll(async () => {
  broker = await startNats();
  nats = await openNats({ url: broker.url, name: "test", log: quietLogger() });
  const specs = streamSpecs("laptop").filter(({ name }) => name === "ANALYSES");
  await ensureStreams(nats, specs, { replicas: 1 });
}, 60_000);
afterAll(async () => {
  await nats?.drain();
  await broker?.stop();
}, 60_000);
beforeEach(() => {
  // A lane of its own for each test.
  do feedId = `feed-${++feeds}`;
  while (usedLanes.has(laneOf(feedId)));
  usedLanes.add(laneOf(feedId));
});

class Owner {
  epoch: number | undefined;
  gaveUp: number[] = [];
  clock = systemClock.now();
  readonly writer: FrameSink;
  constructor(epoch: number, connection: Nats = nats) {
    this.epoch = epoch;
    this.writer = createAnalysisWriter(connection, {
      ownership: {
        epochOf: () => this.epoch,
        giveUp: (lane) => {
          this.gaveUp.push(lane);
          this.epoch = undefined;
        },
      },
      clock: { now: () => this.clock, monotonicMs: () => systemClock.monotonicMs() },
      log: quietLogger(),
      registryPosition: () => 7,
      laneCount: LANE_COUNT,
    });
  }
}

const output = (n: number, ts = 1_000 + n): AnalysisOutput => ({
  key: `${feedId}:t${n % 2}`,
  wire: JSON.stringify({ n }),
  ext: { ts, run: `r${n}`, model: "m", promptVersion: 1, tokens: 5, window: [n, n + 1] },
});

async function stored(): Promise<{ header: FrameHeader; lines: string[] }[]> {
  const frames: { header: FrameHeader; lines: string[] }[] = [];
  const reader = openReader(nats, {
    stream: "ANALYSES",
    from: "all",
    log: quietLogger(),
    onMessage: ({ subject, data }) => {
      if (subject !== `analyses.${laneOf(feedId)}`) return;
      const frame = decodeFrameHeader(data);
      if (!frame.ok) throw new Error(frame.reason);
      frameLineRanges(frame.body, frame.header.n);
      frames.push({ header: frame.header, lines: new TextDecoder().decode(frame.body).split("\n") });
    },
  });
  await reader.caughtUp;
  await reader.stop();
  return frames.filter(({ lines }) => lines.length > 0);
}

describe("frames", () => {
  it("hold wire and ext in the order written; what comes meanwhile goes out together", async () => {
    const owner = new Owner(5);
    await Promise.all(Array.from({ length: 20 }, (_, n) => owner.writer.write(feedId, [output(n)])));
    const frames = await stored();
    expect(frames.length).toBeLessThan(20);
    expect(frames.flatMap(({ lines }) => lines.filter((_, i) => i % 2 === 0).map((line) => (JSON.parse(line) as { n: number }).n))).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
    for (const { header, lines } of frames) {
      expect(header).toMatchObject({ family: "analyses", epoch: 5, reg: 7, n: lines.length / 2 });
      for (const [i, line] of lines.entries()) {
        if (i % 2 === 0) continue;
        const { k, run } = JSON.parse(line) as { k: number; run: string };
        expect(header.keys[k]).toBe(`${feedId}:t${Number(run.slice(1)) % 2}`);
      }
    }
    expect(frames.at(-1)?.header.in).toBe(20);
    owner.writer.stop();
  });

  it("of 600 KiB of answers are several, each within the limit", async () => {
    const owner = new Owner(5);
    const long = (n: number): AnalysisOutput => ({ ...output(n), wire: JSON.stringify({ n, text: "x".repeat(200_000) }) });
    await Promise.all([0, 1, 2, 3].map((n) => owner.writer.write(feedId, [long(n)])));
    const frames = await stored();
    expect(frames.map(({ header }) => header.n)).toEqual([1, 2, 1]);
    owner.writer.stop();
  });

  it("are written though the broker was killed in between", async () => {
    const other = await openNats({ url: broker.url, name: "killed", log: quietLogger() });
    const owner = new Owner(5, other);
    await owner.writer.write(feedId, [output(1)]);
    broker.kill();
    await owner.writer.write(feedId, [output(2)]);
    await until("connected", () => nats.connected());
    expect((await stored()).flatMap(({ lines }) => lines[0])).toEqual(['{"n":1}', '{"n":2}']);
    owner.writer.stop();
    await other.drain();
  });
});

describe("owners", () => {
  it("one that was replaced is refused, and gives the lane up", async () => {
    const zombie = new Owner(5);
    await zombie.writer.write(feedId, [output(1)]);
    const next = new Owner(9);
    await next.writer.write(feedId, [output(2)]);
    await expect(zombie.writer.write(feedId, [output(3)])).rejects.toThrow(NotOurLane);
    expect(zombie.gaveUp).toEqual([laneOf(feedId)]);
    await next.writer.write(feedId, [output(4)]);
    expect((await stored()).map(({ header, lines }) => [header.epoch, lines[0]])).toEqual([
      [5, '{"n":1}'],
      [9, '{"n":2}'],
      [9, '{"n":4}'],
    ]);
    for (const owner of [zombie, next]) owner.writer.stop();
  });

  it("one that never wrote is refused as well", async () => {
    const next = new Owner(9);
    await next.writer.write(feedId, [output(2)]);
    const zombie = new Owner(5);
    await expect(zombie.writer.write(feedId, [output(3)])).rejects.toThrow(NotOurLane);
    await expect(zombie.writer.stamp(feedId)).rejects.toThrow(NotOurLane);
    expect(await stored()).toHaveLength(1);
    for (const owner of [zombie, next]) owner.writer.stop();
  });

  it("a frame that slips in before the new owner's first one does not stop it", async () => {
    const old = new Owner(5);
    await old.writer.write(feedId, [output(1)]);
    const next = new Owner(9);
    await next.writer.stamp(feedId);
    await old.writer.write(feedId, [output(2)]);
    await next.writer.write(feedId, [output(3)]);
    expect((await stored()).map(({ header }) => header.epoch)).toEqual([5, 5, 9]);
    for (const owner of [old, next]) owner.writer.stop();
  });

  it("without the lane nothing is written", async () => {
    const owner = new Owner(5);
    owner.epoch = undefined;
    await expect(owner.writer.write(feedId, [output(1)])).rejects.toThrow(NotOurLane);
    expect(await stored()).toEqual([]);
    owner.writer.stop();
  });

  it("times of a lane never go back, whoever owns it and whatever its clock says", async () => {
    const first = new Owner(5);
    first.clock = 50_000;
    const ts = await first.writer.stamp(feedId);
    expect(ts).toBe(50_000);
    await first.writer.write(feedId, [output(1, ts)]);
    first.clock = 40_000;
    expect(await first.writer.stamp(feedId)).toBe(50_000);
    const next = new Owner(9);
    next.clock = 30_000;
    expect(await next.writer.stamp(feedId)).toBe(50_000);
    for (const owner of [first, next]) owner.writer.stop();
  });

  it("stopping rejects what waits", async () => {
    const owner = new Owner(5);
    const waiting = owner.writer.write(feedId, [output(1)]).catch((error: unknown) => error);
    const more = owner.writer.write(feedId, [output(2)]).catch((error: unknown) => error);
    owner.writer.stop();
    expect(await more).toBeInstanceOf(NotOurLane);
    await waiting;
    await expect(owner.writer.write(feedId, [output(3)])).rejects.toThrow(NotOurLane);
  });
});

/** Turns of stored messages: nobody waits below the rate, everybody in order above it. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createMessagePace, type MessagePace } from "./message-pace.ts";

let nowMs: number;
let pace: MessagePace;

/** How long each of `count` turns taken now has to wait, ms; the pace's own clock stands still meanwhile. */
async function waits(count: number): Promise<number[]> {
  const begin = performance.now();
  const turns = Array.from({ length: count }, () => pace.turn()?.then(() => Math.round(performance.now() - begin)) ?? 0);
  await vi.runAllTimersAsync();
  return Promise.all(turns);
}

describe("createMessagePace", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    nowMs = 5_000;
    pace = createMessagePace({ perSecond: 100, burst: 3, nowMs: () => nowMs });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("lets a burst go at once and spaces out what follows", async () => {
    expect(await waits(6)).toEqual([0, 0, 0, 10, 20, 30]);
  });

  it("never makes anybody wait who keeps to the rate", async () => {
    expect(await waits(3)).toEqual([0, 0, 0]);
    for (let i = 0; i < 20; i++) {
      nowMs += 10;
      expect(await waits(1)).toEqual([0]);
    }
  });

  it("grants the burst again after a quiet spell, and no more than that", async () => {
    await waits(10);
    nowMs += 60_000;
    expect(await waits(5)).toEqual([0, 0, 0, 10, 20]);
  });

  it("resolves the turns in the order they were taken", async () => {
    const order: number[] = [];
    const turns = [0, 1, 2, 3, 4].map((n) => (pace.turn() ?? Promise.resolve()).then(() => order.push(n)));
    await vi.advanceTimersByTimeAsync(20);
    await Promise.all(turns);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  it("makes messages fewer the more events they hold, down to a floor", async () => {
    pace = createMessagePace({ perSecond: 100, burst: 1, events: { eachMs: 0.5, atMostMs: 30 }, nowMs: () => nowMs });
    const waitAfter = async (events: number): Promise<number> => {
      nowMs += 60_000;
      expect(pace.turn()).toBeUndefined();
      pace.filled(events);
      return (await waits(1))[0] ?? Number.NaN;
    };
    expect([await waitAfter(0), await waitAfter(10), await waitAfter(60), await waitAfter(10_000)]).toEqual([10, 15, 40, 40]);
  });
});

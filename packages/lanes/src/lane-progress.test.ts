import { expect, it } from "vitest";
import { LaneProgress } from "./lane-progress.ts";
import { OwnershipLost } from "./types.ts";

it("tells those who wait for a position, and only them", async () => {
  const progress = new LaneProgress();
  const five = progress.reached(5, 1_000);
  const nine = progress.reached(9, 1_000);
  expect(progress.isAwaited).toBe(true);
  progress.confirm(6);
  await five;
  await progress.reached(6, 0);
  expect(progress.isAwaited).toBe(true);
  progress.confirm(9);
  await nine;
  expect(progress.isAwaited).toBe(false);
});

it("gives up in time, and when the lane leaves", async () => {
  const progress = new LaneProgress();
  await expect(progress.reached(1, 1)).rejects.toThrow(/not reached/);
  const waiting = progress.reached(1, 60_000);
  progress.end();
  await expect(waiting).rejects.toBeInstanceOf(OwnershipLost);
  await expect(progress.reached(1, 1)).rejects.toBeInstanceOf(OwnershipLost);
});

it("is behind while something folded is not stored", () => {
  const progress = new LaneProgress();
  progress.startAt(3);
  expect(progress.isBehind).toBe(false);
  progress.folded = 4;
  expect(progress.isBehind).toBe(true);
});

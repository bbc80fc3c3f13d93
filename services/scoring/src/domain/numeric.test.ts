import { describe, expect, it } from "vitest";
import { bounded, calibrate, clamp, clampSigned, compact, round2 } from "./numeric.ts";

describe("numeric", () => {
  it.each([
    [-1, 0],
    [0, 0],
    [0.4, 0.4],
    [1, 1],
    [7, 1],
    [Number.NaN, 0],
  ])("clamp(%d) is %d", (x, expected) => expect(clamp(x)).toBe(expected));

  it("keeps signed values inside ±1", () => {
    expect([-3, -0.2, 3].map(clampSigned)).toStrictEqual([-1, -0.2, 1]);
  });

  it("calibrates 0 to 0, 1 and more to 100, and bends upward between", () => {
    expect(calibrate(0, 3)).toBe(0);
    expect(calibrate(1, 3)).toBeCloseTo(100, 9);
    expect(calibrate(4, 3)).toBeCloseTo(100, 9);
    expect(calibrate(0.265, 3)).toBeCloseTo(57.7, 1);
  });

  it("makes a faded counter a true zero", () => {
    expect(compact(4e-7)).toBe(0);
    expect(compact(0.123456789)).toBe(0.123457);
  });

  it("bounds, and falls back when there is no number", () => {
    expect([bounded(5, 0, 3, 1), bounded(-5, 0, 3, 1), bounded(undefined, 0, 3, 1), bounded(Number.NaN, 0, 3, 1)]).toStrictEqual([
      3, 0, 1, 1,
    ]);
    expect(round2(0.127)).toBe(0.13);
  });
});

import { describe, expect, it } from "vitest";
import { RegistryLog } from "./registry-log.ts";

describe("registry positions of inputs", () => {
  const log = (): RegistryLog =>
    new RegistryLog([
      [1, 4],
      [10, 6],
      [25, 9],
    ]);

  it("are those in force at the input", () => {
    expect([1, 9, 10, 24, 25, 999].map((seq) => log().at(seq))).toEqual([4, 4, 6, 6, 9, 9]);
    expect(new RegistryLog().at(5)).toBe(0);
    expect(new RegistryLog([[10, 6]]).at(3)).toBe(6);
  });

  it("grow by adoption, without a change for nothing", () => {
    const changes = log();
    changes.adopt(30, 9);
    changes.adopt(31, 11);
    changes.adopt(31, 12);
    expect(changes.since(0)).toEqual([
      [1, 4],
      [10, 6],
      [25, 9],
      [31, 12],
    ]);
    expect(changes.current).toBe(12);
  });

  it("behind a safe point keep the one in force there", () => {
    expect(log().since(9)).toEqual([
      [10, 6],
      [25, 9],
    ]);
    expect(log().since(8)).toEqual([
      [1, 4],
      [10, 6],
      [25, 9],
    ]);
    const trimmed = log();
    trimmed.trim(40);
    expect(trimmed.since(0)).toEqual([[25, 9]]);
  });

  it("merge what PostgreSQL and the last frame know", () => {
    const merged = new RegistryLog([
      [10, 6],
      [1, 4],
      [10, 6],
      [25, 9],
    ]);
    expect(merged.length).toBe(3);
  });
});

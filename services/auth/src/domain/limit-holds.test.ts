import { HOLD_TTL_MS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { LimitHolds } from "./limit-holds.ts";

const says = (instanceId: string, held: number, want = 0, limit = 3) => ({ instanceId, holds: [{ key: "k", limit, held, want }] });

describe("limit holds", () => {
  it("grant what is free over all instances", () => {
    const holds = new LimitHolds();
    expect(holds.apply(says("a", 0, 2), 0).holds).toEqual([{ others: 0, granted: 2 }]);
    expect(holds.apply(says("b", 0, 2), 0).holds).toEqual([{ others: 2, granted: 1 }]);
    expect(holds.apply(says("a", 2, 1), 0).holds).toEqual([{ others: 1, granted: 0 }]);
    expect(holds.apply(says("a", 1), 1).holds).toEqual([{ others: 1, granted: 0 }]);
    expect(holds.apply(says("b", 1, 1), 2).holds).toEqual([{ others: 1, granted: 1 }]);
  });

  it("take over what is held although it is more than the limit, and grant nothing then", () => {
    const holds = new LimitHolds();
    holds.apply(says("a", 9), 0);
    expect(holds.apply(says("b", 0, 1), 0).holds).toEqual([{ others: 9, granted: 0 }]);
  });

  it("forget an instance that stopped repeating", () => {
    const holds = new LimitHolds();
    holds.apply(says("a", 3), 0);
    expect(holds.apply(says("b", 0, 1), HOLD_TTL_MS - 1).holds).toEqual([{ others: 3, granted: 0 }]);
    expect(holds.apply(says("b", 0, 1), HOLD_TTL_MS).holds).toEqual([{ others: 0, granted: 1 }]);
  });

  it("keep no memory of keys that nobody holds", () => {
    const holds = new LimitHolds();
    holds.apply(says("a", 0, 1), 0);
    holds.apply(says("a", 0), 1);
    expect(holds.size).toBe(0);
    holds.apply(says("a", 1), 0);
    holds.forgetExpired(HOLD_TTL_MS - 1);
    expect(holds.size).toBe(1);
    holds.forgetExpired(HOLD_TTL_MS);
    expect(holds.size).toBe(0);
  });
});

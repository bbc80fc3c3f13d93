import { expect, it } from "vitest";
import { desiredOwners } from "./ownership.ts";

const shares = (owners: (string | undefined)[]): number[] => {
  const counts = new Map<string | undefined, number>();
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => a - b);
};

it("gives nobody's lanes to nobody", () => {
  expect(desiredOwners([], 3)).toEqual([undefined, undefined, undefined]);
});

it.each([
  [1, [16]],
  [2, [8, 8]],
  [3, [5, 5, 6]],
  [5, [3, 3, 3, 3, 4]],
  [20, Array(16).fill(1)],
])("shares 16 lanes among %i members equally", (members, expected) => {
  expect(
    shares(
      desiredOwners(
        Array.from({ length: members }, (_, i) => `w-${i}`),
        16,
      ),
    ),
  ).toEqual(expected);
});

it("is the same everywhere, whatever order members are seen in", () => {
  expect(desiredOwners(["b", "a", "c", "a"], 16)).toEqual(desiredOwners(["c", "b", "a"], 16));
});

it("moves few lanes when a member joins", () => {
  const before = desiredOwners(["w-0", "w-1", "w-2"], 64);
  const after = desiredOwners(["w-0", "w-1", "w-2", "w-3"], 64);
  const moved = after.filter((owner, lane) => owner !== before[lane]).length;
  // 16 must move to the new one; an unlucky few move between the others.
  expect(moved).toBeGreaterThanOrEqual(16);
  expect(moved).toBeLessThanOrEqual(24);
});

import { expect, it } from "vitest";
import { createReadLimiter } from "./read-limiter.ts";

it("lets one read per interval and key through and says how long to wait", () => {
  const limiter = createReadLimiter();
  expect(limiter.waitMs("a", 10_000, 0)).toBe(0);
  expect(limiter.waitMs("a", 10_000, 4_000)).toBe(6_000);
  expect(limiter.waitMs("b", 10_000, 4_000)).toBe(0);
  expect(limiter.waitMs("a", 10_000, 10_000)).toBe(0);
  expect(limiter.waitMs("a", 0, 10_001)).toBe(0);
});

it("stays bounded", () => {
  const limiter = createReadLimiter(2);
  for (const key of ["a", "b", "c"]) limiter.waitMs(key, 1_000, 0);
  expect(limiter.waitMs("a", 1_000, 1)).toBe(0);
  expect(limiter.waitMs("c", 1_000, 1)).toBe(999);
});

import { expect, it } from "vitest";
import { createBoundedCache } from "./bounded-cache.ts";

it("never holds more than its limit, and keeps what is used", () => {
  const cache = createBoundedCache<number>(100);
  cache.set("hot", 1);
  for (let i = 0; i < 1_000; i++) {
    cache.set(`cold${i}`, i);
    expect(cache.get("hot")).toBe(1);
    expect(cache.size).toBeLessThanOrEqual(101);
  }
  expect(cache.get("cold0")).toBeUndefined();
  expect(cache.get("cold999")).toBe(999);
});

it("replaces a value in either generation", () => {
  const cache = createBoundedCache<number>(2);
  cache.set("a", 1);
  cache.set("b", 2);
  cache.set("a", 3);
  expect(cache.get("a")).toBe(3);
});

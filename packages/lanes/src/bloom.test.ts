import { expect, it } from "vitest";
import { KeyFilter } from "./bloom.ts";

it("never misses a key and rarely sees one that is not there", () => {
  const filter = new KeyFilter();
  expect(filter.mayContain("k0")).toBe(false);
  for (let i = 0; i < 50_000; i++) filter.add(`tenant:k${i}`);
  for (let i = 0; i < 50_000; i += 7) expect(filter.mayContain(`tenant:k${i}`)).toBe(true);
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) if (filter.mayContain(`other:k${i}`)) wrong++;
  expect(wrong).toBeLessThan(20);
});

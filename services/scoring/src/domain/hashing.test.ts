import { expect, it } from "vitest";
import { hash32, PACKED_ID_LENGTH, packedId } from "./hashing.ts";

it("hashes as FNV-1a does", () => {
  expect(hash32("")).toBe(0x811c9dc5);
  expect(hash32("a")).toBe(0xe40c292c);
});

it("packs ids into a fixed width, differently for ids that differ in one character", () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => packedId(`evt_${i}`));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => id.length === PACKED_ID_LENGTH)).toBe(true);
  const halves = new Set(ids.map((id) => id.slice(0, PACKED_ID_LENGTH / 2)));
  expect(halves.size).toBeGreaterThan(19_900);
});

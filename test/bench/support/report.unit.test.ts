/** Ratios, medians and what makes a row void. */
import { expect, it } from "vitest";
import { markdownTable, median, perMillion, ratioOf, short } from "./report.ts";

it("takes the median ratio of interleaved pairs", () =>
  expect(ratioOf([[10, 20], [30, 20], [8, 10]]).ratio).toEqual({ median: 0.8, min: 0.5, max: 1.5, pairs: 3 })); // biome-ignore format: pairs on one line
it("marks a run noisy when the baseline itself moved more than twofold", () =>
  expect(ratioOf([[1, 10], [1, 25]]).warnings).toEqual(["noisy: baseline spread 2.5x"])); // biome-ignore format: pairs on one line
it.each([
  [[3, 1, 2], 2],
  [[4, 1, 2, 3], 2.5],
])("median of %j is %d", (values, expected) => expect(median(values)).toBe(expected));
it("has no speed for a run that lost something", () =>
  expect(markdownTable([{ scenario: "x", unit: "ev/s", value: 5_000, lost: 1, duplicates: 0, target: "≥ 1", pass: true }])).toContain(
    "| void: loss or duplicates |  |  |  |  | 1 / 0 | ≥ 1 ✗ |",
  ));
it("counts CPU per million", () =>
  expect(perMillion([{ name: "edge", pid: 1, cpuSeconds: 2, peakRssBytes: 0 }], 500_000)).toEqual({ edge: 4 }));
it.each([
  [1_234_567, "1.23M"],
  [12_345, "12.3k"],
  [1_234, "1234"],
  [1.234, "1.23"],
])("%d is %s", (value, text) => expect(short(value)).toBe(text));

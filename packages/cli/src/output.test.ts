import { expect, it } from "vitest";
import { bytes, duration, printable, table } from "./output.ts";

it("pads columns and aligns numbers to the right", () => {
  const rows = [
    { name: "a", n: 5 },
    { name: "long", n: 1234 },
  ];
  expect(
    table(rows, [
      { title: "NAME", value: (row) => row.name },
      { title: "N", value: (row) => String(row.n), align: "right" },
    ]),
  ).toBe("NAME     N\na        5\nlong  1234\n");
});

it("makes control characters visible", () => {
  expect(printable("a\u001b[31mb\nc")).toBe("a\\u001b[31mb\\u000ac");
});

it.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [3 * 1024 ** 3, "3.0 GiB"],
])("bytes(%d) = %s", (count, text) => {
  expect(bytes(count)).toBe(text);
});

it.each([
  [850, "850ms"],
  [119_000, "119s"],
  [300_000, "5m"],
  [10_800_000, "3h"],
  [172_800_000, "2d"],
])("duration(%d) = %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

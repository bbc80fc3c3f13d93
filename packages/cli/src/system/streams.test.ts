import { describe, expect, it } from "vitest";
import { judgeHeadroom } from "../doctor/running.ts";
import { grouped, headroomOf, type StreamUse } from "./streams.ts";

const use = (stream: string, messages: number, bytes: number, lastSeq: number, whenFull: "old" | "new" = "new"): StreamUse => ({
  stream, messages, bytes, maxBytes: 3_600_000, usedShare: bytes / 3_600_000, firstSeq: 1, lastSeq, whenFull,
}); // biome-ignore format: one literal

describe("headroom", () => {
  it("is the room of the fullest lane, for all lanes, at the rate of all lanes", () => {
    const before = [use("VISITS_0", 10, 1_000, 10), use("VISITS_1", 10, 1_000, 10)];
    const after = [use("VISITS_0", 20, 2_000, 20), use("VISITS_1", 10, 1_000, 10)];
    const [row] = headroomOf(before, after, 10);
    // 10 messages of 100 bytes in 10 s; two lanes of 3.6 MB.
    expect(row?.bytesPerSecond).toBeCloseTo(100);
    expect(row?.hours).toBeCloseTo((7_200_000 * (1 - 2_000 / 3_600_000)) / 100 / 3_600);
  });
  it("is the window held, for a stream that drops its oldest", () => {
    const [row] = headroomOf([use("SIGNALS", 0, 0, 100, "old")], [use("SIGNALS", 10, 36_000, 110, "old")], 36);
    expect(row?.hours).toBeCloseTo(1);
  });
  it("counts what was written even when a purge made the stream smaller", () => {
    const [row] = headroomOf([use("DLQ", 100, 10_000, 100)], [use("DLQ", 10, 1_000, 110)], 1);
    expect(row?.bytesPerSecond).toBe(1_000);
  });
  it("is unknown while nothing comes in", () => {
    expect(headroomOf([use("DLQ", 1, 1, 1)], [use("DLQ", 1, 1, 1)], 2)[0]?.hours).toBeNull();
  });
});

it("adds lanes up and keeps single streams", () => {
  expect(
    grouped([use("VISITS_0", 1, 10, 1), use("VISITS_15", 2, 20, 2), use("DLQ", 3, 30, 3)]).map((g) => [g.stream, g.lanes, g.bytes]),
  ).toEqual([
    ["VISITS_*", 2, 30],
    ["DLQ", 1, 30],
  ]);
});

describe("verdict", () => {
  const row = { stream: "VISITS_*", whenFull: "new" as const, usedShare: 0.1, bytesPerSecond: 1, hours: 100 };
  it.each([
    ["ok", [row]],
    ["ok", [{ ...row, hours: null }]],
    ["ok", [{ ...row, whenFull: "old" as const, hours: 0.1 }]],
    ["warn", [row, { ...row, stream: "CONSENTS", hours: 1 }]],
    ["fail", [{ ...row, usedShare: 0.95 }]],
  ])("%s", (level, rows) => {
    expect(judgeHeadroom(rows).level).toBe(level);
  });
});

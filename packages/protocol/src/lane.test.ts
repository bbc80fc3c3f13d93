import { describe, expect, it } from "vitest";
import vectors from "../vectors/lanes.json" with { type: "json" };
import { fnv1a32, LANE_COUNT, laneOf, visitorKey } from "./lane.ts";

describe("lanes", () => {
  it.each(vectors.hashes)("hash of $text", ({ text, hash }) => expect(fnv1a32(text)).toBe(hash));
  it.each(vectors.lanes)("$key of $laneCount lanes", ({ key, laneCount, lane }) => expect(laneOf(key, laneCount)).toBe(lane));
  it.each(vectors.visitorKeys)("visitor key $key", ({ tenantId, visitorId, key }) => expect(visitorKey(tenantId, visitorId)).toBe(key));

  it("spreads visitors over all lanes evenly", () => {
    const counts = new Array<number>(LANE_COUNT).fill(0);
    for (let i = 0; i < 16_000; i++) {
      const lane = laneOf(visitorKey("ten_1", `vis_${i.toString(36)}`));
      counts[lane] = (counts[lane] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });
});

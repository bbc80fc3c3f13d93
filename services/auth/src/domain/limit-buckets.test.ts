import { describe, expect, it } from "vitest";
import { LimitBuckets } from "./limit-buckets.ts";

const wish = (want: number, key = "k") => ({ grants: [{ key, rate: 2, burst: 5, want }] });

describe("limit buckets", () => {
  it("start full, give at most the burst, and then as fast as the rate", () => {
    const buckets = new LimitBuckets();
    expect(buckets.grant(wish(7), 1_000).grants).toEqual([{ granted: 5, retryAfterMs: 500 }]);
    expect(buckets.grant(wish(1), 1_250).grants).toEqual([{ granted: 0, retryAfterMs: 250 }]);
    expect(buckets.grant(wish(1), 1_500).grants).toEqual([{ granted: 1, retryAfterMs: 0 }]);
    expect(buckets.grant(wish(9), 3_600_000).grants).toEqual([{ granted: 5, retryAfterMs: 500 }]);
  });

  it("never grant more than rate × time + burst, however often they are asked", () => {
    const buckets = new LimitBuckets();
    let granted = 0;
    for (let now = 0; now <= 10_000; now += 7) granted += buckets.grant(wish(1), now).grants[0]?.granted ?? 0;
    expect(granted).toBeLessThanOrEqual(2 * 10 + 5);
    expect(granted).toBeGreaterThanOrEqual(2 * 10 + 5 - 1);
  });

  it("answer in the order asked and keep keys apart", () => {
    const buckets = new LimitBuckets();
    const answer = buckets.grant({ grants: [...wish(5, "a").grants, ...wish(1, "b").grants, ...wish(1, "a").grants] }, 0);
    expect(answer.grants.map(({ granted }) => granted)).toEqual([5, 1, 0]);
  });

  it("do not go backwards with the clock", () => {
    const buckets = new LimitBuckets();
    buckets.grant(wish(5), 10_000);
    expect(buckets.grant(wish(1), 0).grants[0]?.granted).toBe(0);
  });

  it("stay quick for a key that is asked for again and again among many", () => {
    const buckets = new LimitBuckets();
    for (let i = 0; i < 20_000; i++) buckets.grant(wish(1, `k${i}`), 0);
    const begun = process.cpuUsage();
    for (let i = 0; i < 50_000; i++) buckets.grant(wish(1, "hot"), i / 1_000);
    // 90 µs each when the order was kept at every use.
    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1_000).toBeLessThan(2_000);
  });

  it("hold a bounded number of keys and forget the least recently used", () => {
    const buckets = new LimitBuckets(2);
    const slow = (want: number, key: string) => ({ grants: [{ key, rate: 0.001, burst: 5, want }] });
    for (const [i, key] of ["a", "b", "a", "c"].entries()) buckets.grant(slow(1, key), i * 1_000);
    expect(buckets.size).toBe(2);
    // `b` was forgotten and is full again; that pushes out `a`. `c` is the one that was kept.
    expect(buckets.grant(slow(9, "b"), 4_000).grants[0]?.granted).toBe(5);
    expect(buckets.grant(slow(9, "c"), 4_000).grants[0]?.granted).toBe(4);
  });
});

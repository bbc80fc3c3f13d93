import { describe, expect, it } from "vitest";
import { parseRange } from "./address.ts";
import { fromFlags, holdsDenial, mergeConsent, toFlags } from "./consent-flags.ts";
import { FingerprintTable } from "./fingerprint-table.ts";
import { edgeRanges, hopsOf } from "./hops.ts";
import { OriginIndex } from "./origin-index.ts";
import { RecentMap } from "./recent-map.ts";

describe("FingerprintTable", () => {
  const key = (n: number) => (Math.imul(n, 2_654_435_761) >>> 0).toString(16).padStart(8, "0") + n.toString(16).padStart(8, "0");

  it("behaves like a map while it grows", () => {
    const table = new FingerprintTable(100_000);
    for (let i = 0; i < 20_000; i++) expect(table.set(key(i), i % 64, i)).toBe(true);
    for (let i = 0; i < 20_000; i++) expect(table.get(key(i))).toBe(i % 64);
    expect(table.get(key(20_001))).toBeUndefined();
    expect(table.size).toBe(20_000);
  });

  it("keeps the newer record whatever the order", () => {
    const table = new FingerprintTable(10);
    table.set(key(1), 5, 100);
    expect(table.set(key(1), 9, 99)).toBe(true);
    expect(table.get(key(1))).toBe(5);
    table.set(key(1), 9, 100);
    expect(table.get(key(1))).toBe(9);
    table.set(key(2), 1, 0xffff_ffff);
    table.set(key(2), 2, 0x1_0000_0003);
    expect(table.get(key(2))).toBe(2);
  });

  it("refuses new entries when full and still updates old ones", () => {
    const table = new FingerprintTable(2);
    expect([table.set(key(1), 1, 1), table.set(key(2), 1, 2), table.set(key(3), 1, 3)]).toStrictEqual([true, true, false]);
    expect(table.isFull).toBe(true);
    expect(table.set(key(1), 2, 4)).toBe(true);
    expect(table.get(key(1))).toBe(2);
    expect(table.get(key(3))).toBeUndefined();
  });
});

describe("consent flags", () => {
  it("round-trips every combination", () => {
    const values = [undefined, true, false];
    for (const analytics of values) {
      for (const identity of values) {
        for (const marketing of values) {
          const state = {
            ...(analytics === undefined ? {} : { analytics }),
            ...(identity === undefined ? {} : { identity }),
            ...(marketing === undefined ? {} : { marketing }),
          };
          expect(fromFlags(toFlags(state))).toStrictEqual(state);
          expect(holdsDenial(state)).toBe([analytics, identity, marketing].includes(false));
        }
      }
    }
  });
  it("merges by category", () => {
    expect(mergeConsent({ analytics: true, marketing: false }, { marketing: true })).toStrictEqual({ analytics: true, marketing: true });
    expect(mergeConsent(undefined, { identity: false })).toStrictEqual({ identity: false });
  });
});

describe("RecentMap", () => {
  it("stays within its bound and keeps the latest", () => {
    const map = new RecentMap<number>(100);
    for (let i = 0; i < 1_000; i++) map.set(`k${i}`, i);
    expect(map.size).toBeLessThanOrEqual(100);
    for (let i = 950; i < 1_000; i++) expect(map.get(`k${i}`)).toBe(i);
    expect(map.get("k0")).toBeUndefined();
  });
});

describe("hops", () => {
  const proxies = [parseRange("10.0.0.0/8"), parseRange("127.0.0.1/32")];
  const trust = { proxies, edges: edgeRanges(proxies, []) };
  it.each([
    ["a stranger", "8.8.8.8", "10.0.0.1", false, false],
    ["an edge", "10.0.0.1", "8.8.8.8", true, true],
    ["the local front alone does not vouch for edge headers", "127.0.0.1", "8.8.8.8", true, false],
    ["an edge behind the local front", "127.0.0.1", "8.8.8.8, 10.0.0.1", true, true],
    ["a forged hop left of a stranger", "127.0.0.1", "10.0.0.1, 8.8.8.8", true, false],
    ["no header", "10.0.0.1", undefined, true, true],
    ["no peer", undefined, undefined, false, false],
  ])("%s", (_name, peer, header, isForwarded, isFromEdge) => {
    expect(hopsOf(peer, header, trust)).toStrictEqual({ isForwarded, isFromEdge });
  });
  it("believes a local proxy that is named as an edge", () => {
    const named = { proxies, edges: edgeRanges(proxies, [parseRange("127.0.0.1")]) };
    expect(hopsOf("::ffff:127.0.0.1", "8.8.8.8", named).isFromEdge).toBe(true);
  });
});

describe("OriginIndex", () => {
  it("knows exact hosts, subdomains and any host, and forgets", () => {
    const index = new OriginIndex();
    expect(index.allows("shop.example")).toBe(false);
    index.replace("site_1", ["Shop.example", "*.blog.example"]);
    index.replace("site_2", ["shop.example"]);
    expect(["shop.example", "a.b.blog.example", "SHOP.example."].map((host) => index.allows(host))).toStrictEqual([true, true, true]);
    expect(["blog.example", "x.shop.example", "xblog.example", undefined].map((host) => index.allows(host))).toStrictEqual([
      false,
      false,
      false,
      false,
    ]);
    index.replace("site_1", []);
    expect([index.allows("shop.example"), index.allows("x.blog.example")]).toStrictEqual([true, false]);
    index.replace("key_1", ["*"]);
    expect(index.allows(undefined)).toBe(true);
  });
});

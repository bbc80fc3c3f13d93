import { describe, expect, it } from "vitest";
import vectors from "../../vectors/scrub.json" with { type: "json" };
import { isIpv6, passesLuhn, scrubText } from "./scrub-text.ts";
import { pathOf, scrubPath, scrubReferrer, scrubUrl } from "./scrub-url.ts";

describe("scrubText", () => {
  it.each(vectors.text)("$in", (v) => {
    expect(scrubText(v.in, "standard")).toBe(v.standard);
    expect(scrubText(v.in, "aggressive")).toBe(v.aggressive ?? v.standard);
  });

  it("is idempotent on its own output", () => {
    for (const v of vectors.text) {
      const once = scrubText(v.in, "aggressive");
      expect(scrubText(once, "aggressive")).toBe(once);
    }
  });

  it("stays linear on hostile text", () => {
    const hostile = ["a".repeat(2047) + "@", "eyJ".repeat(700), "1-".repeat(1000), "a@".repeat(1000), ":".repeat(2048), "1.".repeat(1024)];
    const start = process.cpuUsage();
    for (let i = 0; i < 20; i++) for (const text of hostile) scrubText(text, "aggressive");
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1_000 / (20 * hostile.length)).toBeLessThan(5);
  });
});

describe("scrubPath", () => {
  it.each(vectors.path)("$in", (v) => {
    expect(scrubPath(pathOf(v.in), "standard")).toBe(v.standard);
    if (v.aggressive !== undefined) expect(scrubPath(pathOf(v.in), "aggressive")).toBe(v.aggressive);
  });
});

describe("scrubUrl", () => {
  it.each(vectors.url)("$in", (v) => {
    expect(scrubUrl(v.in, { level: "standard", marketing: v.marketing, allowedQueryKeys: v.allow })).toBe(v.out);
  });

  it("leaves no query on a referrer", () => {
    expect(scrubReferrer("https://a.example/x?q=secret#y", "standard")).toBe("https://a.example/x");
  });
});

it("knows Luhn and IPv6", () => {
  expect(passesLuhn("79927398713")).toBe(true);
  expect(passesLuhn("79927398714")).toBe(false);
  expect(isIpv6("1:2:3:4:5:6:7:8")).toBe(true);
  expect(isIpv6("1:2:3:4:5:6:7")).toBe(false);
  expect(isIpv6("1::2::3")).toBe(false);
  expect(isIpv6("::")).toBe(false);
});

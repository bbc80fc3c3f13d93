import { describe, expect, it } from "vitest";
import { createEventIds } from "./event-ids.ts";
import { consentRecords, PrivacyIndex } from "./privacy-index.ts";
import { createProcessLimiter } from "./process-limiter.ts";
import { createRequestGauge } from "./request-gauge.ts";

describe("process limiter", () => {
  it("keeps one bucket a key and tells when to come back", () => {
    let nowMs = 0;
    const limiter = createProcessLimiter({ now: () => 1_700_000_000_000 + nowMs, monotonicMs: () => nowMs });
    expect(limiter.take("a", 10, 20)).toStrictEqual({ ok: true, limit: 20, remaining: 0, resetAtS: 1_700_000_002, retryAfterS: 0 });
    expect(limiter.take("a", 10, 15)).toMatchObject({ ok: false, remaining: 0, retryAfterS: 2 });
    expect(limiter.take("b", 10, 15)).toMatchObject({ ok: true, remaining: 5 });
    nowMs = 1_500;
    expect(limiter.take("a", 10, 15)).toMatchObject({ ok: true, remaining: 0 });
  });
  it("starts anew when the plan's rate changes", () => {
    const limiter = createProcessLimiter({ now: () => 0, monotonicMs: () => 0 });
    limiter.take("a", 10, 20);
    expect(limiter.take("a", 100, 150)).toMatchObject({ ok: true, limit: 200, remaining: 50 });
  });
});

describe("privacy index", () => {
  const index = (maxEntries: number) => {
    const full: string[] = [];
    return { full, index: new PrivacyIndex({ secret: "s".repeat(32), maxEntries, onFull: (table) => full.push(table) }) };
  };
  const consent = (key: string, state: object) => ({
    v: 1 as const,
    key,
    tenantId: "t",
    siteId: "s",
    ts: 1,
    source: "receipt" as const,
    ...state,
  });

  it("merges decisions by category and ignores older records", () => {
    const { index: privacy } = index(10);
    const key = privacy.keyOf("t", "v");
    expect(privacy.consentOf("t", "v")).toBeUndefined();
    privacy.applyConsent(consent(key, { analytics: true, marketing: true }), 5);
    privacy.applyConsent(consent(key, { marketing: false }), 6);
    privacy.applyConsent(consent(key, { analytics: false }), 4);
    expect(privacy.consentOf("t", "v")).toStrictEqual({ analytics: true, marketing: false });
    expect(privacy.consentOf("t2", "v")).toBeUndefined();
  });

  it("wakes who waits for an erasure of that time or later", async () => {
    const { index: privacy } = index(10);
    const key = privacy.keyOf("t", "v");
    const wait = privacy.waitForErasure(key, 100);
    let arrived = false;
    void wait?.arrived.then(() => {
      arrived = true;
    });
    privacy.applyErasure({ v: 1, kind: "optout", key, ts: 99 }, 1);
    await Promise.resolve();
    expect([arrived, privacy.isOptedOut("t", "v")]).toStrictEqual([false, true]);
    privacy.applyErasure({ v: 1, kind: "optin", key, ts: 100 }, 2);
    await wait?.arrived;
    expect([arrived, privacy.isOptedOut("t", "v")]).toStrictEqual([true, false]);
    wait?.forget();
    wait?.forget();
  });

  it("tells when a refusal finds no room, and does not mind a grant", () => {
    const { full, index: privacy } = index(1);
    privacy.applyConsent(consent("a".repeat(32), { analytics: false }), 1);
    privacy.applyConsent(consent("b".repeat(32), { analytics: true }), 2);
    expect(full).toStrictEqual([]);
    privacy.applyConsent(consent("c".repeat(32), { analytics: false }), 3);
    privacy.applyErasure({ v: 1, kind: "optout", key: "a".repeat(32), ts: 1 }, 1);
    privacy.applyErasure({ v: 1, kind: "optout", key: "b".repeat(32), ts: 1 }, 2);
    expect(full).toStrictEqual(["consents", "erasures"]);
    expect(privacy.sizes()).toStrictEqual({ consents: 1, erasures: 1 });
  });

  it("skips what is not a record", () => {
    let bad = 0;
    const text = `${JSON.stringify(consent("a".repeat(32), {}))}\nnonsense\n{"v":2}\n`;
    expect(consentRecords(new TextEncoder().encode(text), () => bad++)).toHaveLength(1);
    expect(bad).toBe(2);
  });
});

describe("request gauge", () => {
  it("resolves when nothing runs, rejects when something does for too long", async () => {
    const gauge = createRequestGauge();
    await gauge.idle();
    gauge.begin();
    await expect(gauge.idle(5)).rejects.toThrow("1 requests are still being answered after 5 ms");
    const idle = gauge.idle(1_000);
    gauge.end();
    await idle;
    expect(gauge.count()).toBe(0);
  });
});

it("never gives an id twice", () => {
  const [first, second] = [createEventIds(), createEventIds()];
  const ids = new Set(Array.from({ length: 1_000 }, () => [first(), second()]).flat());
  expect(ids.size).toBe(2_000);
  for (const id of ids) expect(id).toMatch(/^evt_[A-Za-z0-9_-]{16,}$/);
});

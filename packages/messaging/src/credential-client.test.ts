import { createHash } from "node:crypto";
import type { VerifyAnswer } from "@headwater/protocol";
import { PLAN_LIMITS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { createCredentialClient } from "./credential-client.ts";
import { authWorld, type AuthWorldParts } from "./testing/auth-world.ts";

const good: VerifyAnswer = {
  ok: true,
  credential: {
    keyId: "key_1", keyType: "server", tenantId: "ten_1", tenantSlug: "acme", plan: "scale", limits: PLAN_LIMITS.scale,
    scopes: ["signals:read"], domains: [], sites: [], expiresAt: "2030-01-01T00:00:00.000Z", reg: 1,
  },
}; // biome-ignore format: one literal

/** A well-formed key. */
const k = (letter: string): string => `cs_live_${letter.repeat(32)}`;

const world = () =>
  authWorld(good, ({ registry, clock, log, ask }: AuthWorldParts<VerifyAnswer>) =>
    createCredentialClient(undefined, registry, { clock, log, maxEntries: 2, ask }),
  );
const down = () => Promise.reject(new Error("auth is away"));

describe("what it asks", () => {
  it("sends the digest, never the key, and asks once for many", async () => {
    const w = world();
    await Promise.all([w.client.verify(k("x")), w.client.verify(k("x"))]);
    await w.client.verify(k("x"));
    expect(w.asked).toEqual([createHash("sha256").update(k("x")).digest("hex")]);
  });
  it("asks nobody about a missing or a malformed key", async () => {
    const w = world();
    expect(await w.client.verify(undefined)).toEqual({ ok: false, code: "missing" });
    for (const key of ["cs_live_x", `zz_live_${"x".repeat(32)}`, `${k("x")}x`, "x".repeat(100_000)]) {
      expect(await w.client.verify(key)).toEqual({ ok: false, code: "invalid" });
    }
    expect(w.asked).toEqual([]);
  });
  it("asks again after 30 s, and after 1 s about a bad key", async () => {
    const w = world();
    await w.client.verify(k("a"));
    w.advance(30_001);
    await w.client.verify(k("a"));
    expect(w.asked.length).toBe(2);
    w.answers(async () => ({ ok: false, code: "invalid" }));
    await w.client.verify(k("b"));
    await w.client.verify(k("b"));
    w.advance(1_001);
    await w.client.verify(k("b"));
    expect(w.asked.length).toBe(4);
  });
});

describe("revocation and outage", () => {
  it.each([
    ["its key", "key", "key_1"],
    ["its tenant", "tenant", "ten_1"],
  ] as const)("asks at once when the registry tells of %s", async (_name, aggregate, id) => {
    const w = world();
    await w.client.verify(k("a"));
    w.publish(aggregate, id, { revokedAt: null });
    w.answers(async () => ({ ok: false, code: "invalid" }));
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "invalid" });
  });
  it("keeps a known key working while auth is away, an unknown one is unavailable", async () => {
    const w = world();
    await w.client.verify(k("a"));
    w.advance(600_000);
    w.answers(down);
    expect(await w.client.verify(k("a"))).toEqual(good);
    expect(await w.client.verify(k("b"))).toEqual({ ok: false, code: "unavailable" });
  });
  it("does not keep a revoked key working while auth is away", async () => {
    const w = world();
    await w.client.verify(k("a"));
    w.answers(down);
    w.publish("key", "key_1", { revokedAt: "2026-01-01T00:00:01Z" });
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "invalid" });
  });
  it.each([
    ["its key", "key", "key_1"],
    ["its tenant", "tenant", "ten_1"],
  ] as const)("does not keep a key working while auth is away after %s was deleted", async (_name, aggregate, id) => {
    const w = world();
    await w.client.verify(k("a"));
    w.answers(down);
    w.publish(aggregate, id, null);
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "invalid" });
    // Made again under the same id: what auth said before counts until it can be asked.
    w.publish(aggregate, id, { revokedAt: null }, 2);
    expect(await w.client.verify(k("a"))).toEqual(good);
  });
  it("refuses a deleted key although an instance that lags behind calls it good", async () => {
    const w = world();
    w.publish("key", "key_1", null);
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "invalid" });
  });
  it("asks once a second while auth is away, so that a hanging one does not hold every request", async () => {
    const w = world();
    await w.client.verify(k("a"));
    w.advance(30_001);
    w.answers(down);
    for (let n = 0; n < 5; n++) await w.client.verify(k("a"));
    expect(w.asked.length).toBe(2);
    w.advance(1_001);
    await w.client.verify(k("a"));
    expect(w.asked.length).toBe(3);
  });
  it("refuses a revoked key although an instance that lags behind calls it good", async () => {
    const w = world();
    w.publish("key", "key_1", { revokedAt: "2026-01-01T00:00:01Z" });
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "invalid" });
  });
  it("does not remember an answer that a change overtook on its way", async () => {
    const w = world();
    const gate = Promise.withResolvers<VerifyAnswer>();
    w.answers(() => gate.promise);
    const first = w.client.verify(k("a"));
    w.publish("tenant", "ten_1", { plan: "free" }, 2);
    gate.resolve(good);
    expect((await first).ok).toBe(true);
    w.answers(async () => (good.ok ? { ok: true, credential: { ...good.credential, plan: "free", reg: 2 } } : good));
    expect(await w.client.verify(k("a"))).toMatchObject({ credential: { plan: "free" } });
    await w.client.verify(k("a"));
    expect(w.asked.length).toBe(2);
  });
  it("notices expiry by the clock, without asking", async () => {
    const w = world();
    await w.client.verify(k("a"));
    w.answers(down);
    w.advance(Date.parse("2030-01-01T00:00:00Z"));
    expect(await w.client.verify(k("a"))).toEqual({ ok: false, code: "expired" });
  });
});

it("forgets the oldest beyond its bound", async () => {
  const w = world();
  for (const letter of ["a", "b", "c"]) await w.client.verify(k(letter));
  await w.client.verify(k("a"));
  expect(w.asked.length).toBe(4);
});

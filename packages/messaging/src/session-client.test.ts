import type { SessionAnswer } from "@headwater/protocol";
import { PLAN_LIMITS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { createSessionClient } from "./session-client.ts";
import { authWorld, type AuthWorldParts } from "./testing/auth-world.ts";

const session = {
  sessionId: "ses_1", userId: "65f123abc456def7890a1b2c", email: "a@example.com", username: "A", tenantId: "ten_1", tenantSlug: "acme", plan: "free" as const,
  limits: PLAN_LIMITS.free, expiresAt: "2026-01-08T00:00:00.000Z", reg: 5,
}; // biome-ignore format: one literal
const good: SessionAnswer = { ok: true, session };
const token = "e30.e30.c2ln";

const world = () =>
  authWorld(good, ({ registry, clock, log, ask }: AuthWorldParts<SessionAnswer>) =>
    createSessionClient(undefined, registry, { clock, log, maxEntries: 2, askSession: ask }),
  );

describe("session client", () => {
  it("asks once for requests at the same time, and not again for 30 s", async () => {
    const w = world();
    expect(await Promise.all([w.client.verify(token), w.client.verify(token)])).toEqual([good, good]);
    w.advance(30_000);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(1);
    w.advance(1);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(2);
  });

  it.each([undefined, "", "abc", "a.b", "a.b.c.d", "a.b.c d", `${"a".repeat(5000)}.b.c`])("asks nobody about %s", async (bad) => {
    const w = world();
    expect(await w.client.verify(bad)).toEqual({ ok: false, code: bad === undefined || bad === "" ? "missing" : "invalid" });
    expect(w.asked).toEqual([]);
  });

  it("passes on a refusal, and remembers it for a second", async () => {
    const w = world();
    w.answers(async () => ({ ok: false, code: "claims" }));
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "claims" });
    w.advance(1_000);
    await w.client.verify(token);
    w.advance(1);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(2);
  });

  it("refuses a revoked session at once, without asking", async () => {
    const w = world();
    await w.client.verify(token);
    w.answers(() => Promise.reject(new Error("auth is away")));
    w.publish("session", "ses_1", { id: "ses_1" });
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "invalid" });
  });

  it("refuses a session of a deleted tenant, also while auth is away", async () => {
    const w = world();
    await w.client.verify(token);
    w.answers(() => Promise.reject(new Error("auth is away")));
    w.publish("tenant", "ten_1", null, 7);
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "invalid" });
  });

  it("refuses an answer that was overtaken by the revocation on its way", async () => {
    const w = world();
    w.answers(async () => {
      w.publish("session", "ses_1", { id: "ses_1" });
      return good;
    });
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "invalid" });
  });

  it("asks again after a change of the tenant, until the answer has seen it", async () => {
    const w = world();
    await w.client.verify(token);
    w.publish("tenant", "ten_other", { id: "ten_other" }, 6);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(1);
    w.publish("tenant", "ten_1", { id: "ten_1" }, 7);
    await w.client.verify(token);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(3);
    w.answers(async () => ({ ok: true, session: { ...session, reg: 7 } }));
    await w.client.verify(token);
    await w.client.verify(token);
    expect(w.asked).toHaveLength(4);
  });

  it("refuses a token that expired while it was remembered", async () => {
    const w = world();
    w.answers(async () => ({ ok: true, session: { ...session, expiresAt: "2026-01-01T00:00:10.000Z" } }));
    expect((await w.client.verify(token)).ok).toBe(true);
    w.advance(10_000);
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "invalid" });
  });

  it("keeps using a good answer while auth is away, and asks once a second", async () => {
    const w = world();
    await w.client.verify(token);
    w.answers(() => Promise.reject(new Error("auth is away")));
    w.advance(60_000);
    expect(await w.client.verify(token)).toEqual(good);
    expect(await w.client.verify(token)).toEqual(good);
    expect(w.asked).toHaveLength(2);
    expect(await w.client.verify("e30.e30.b3RoZXI")).toEqual({ ok: false, code: "unavailable" });
    w.advance(7 * 86_400_000);
    expect(await w.client.verify(token)).toEqual({ ok: false, code: "invalid" });
  });

  it("holds a bounded number of tokens", async () => {
    const w = world();
    for (const letter of ["a", "b", "c", "a"]) await w.client.verify(`${letter}.b.c`);
    expect(w.asked).toHaveLength(4);
  });

  it("stops listening", () => {
    const w = world();
    w.client.stop();
    expect(w.listeners.size).toBe(0);
  });
});

import { RpcError } from "@headwater/messaging";
import { PLAN_LIMITS, type TenantRecord } from "@headwater/protocol";
import { expect, it } from "vitest";
import { CredentialTable } from "../domain/credential-table.ts";
import { EndedSessions } from "../domain/ended-sessions.ts";
import { createLoginTokens } from "./login-tokens.ts";
import { createSessionVerifier, type SessionVerifierPorts } from "./session-verifier.ts";

const now = Date.parse("2026-06-01T00:00:00Z");
const tenant: TenantRecord = {
  id: "ten_1",
  slug: "acct-1",
  name: "A",
  plan: "free",
  limits: { feeds: 3 },
  createdAt: "2026-01-01T00:00:00Z",
};
const tokens = createLoginTokens("s".repeat(32));
const token = await tokens.sign({ userId: "u1", email: "a@example.com", username: "A", sid: "s1", tid: "ten_1" }, now);

function world(ports: Partial<SessionVerifierPorts> = {}) {
  const table = new CredentialTable();
  const ended = new EndedSessions();
  let asked = 0;
  const loadTenant = async (): Promise<{ tenant: TenantRecord; sites: [] }> => {
    asked++;
    return { tenant, sites: [] };
  };
  const verifier = createSessionVerifier({
    tokens, ended, table, loadTenant, now: () => now, position: () => 7, onAnswer: () => undefined, ...ports,
  }); // biome-ignore format: one literal
  return { table, ended, verifier, asked: () => asked };
}

it("tells who it is with the tenant's limits, and asks for an unknown tenant once", async () => {
  const w = world();
  const session = {
    sessionId: "s1", userId: "u1", email: "a@example.com", username: "A", tenantId: "ten_1", tenantSlug: "acct-1", plan: "free",
    limits: { ...PLAN_LIMITS.free, feeds: 3 }, expiresAt: "2026-06-08T00:00:00.000Z", reg: 7,
  }; // biome-ignore format: one literal
  expect(await w.verifier.answer({ token })).toEqual({ ok: true, session });
  expect(await w.verifier.verify(token)).toEqual({ ok: true, session });
  expect(w.asked()).toBe(1);
});

it("does not bring back what the registry told meanwhile", async () => {
  const w = world({
    loadTenant: async () => {
      w.table.putTenant({ ...tenant, plan: "scale" });
      return { tenant, sites: [] };
    },
  });
  expect(await w.verifier.answer({ token })).toMatchObject({ session: { plan: "scale" } });
});

it("refuses an ended session", async () => {
  const w = world();
  w.ended.end("s1", now);
  expect(await w.verifier.answer({ token })).toEqual({ ok: false, code: "invalid" });
});

it("refuses the token of a tenant that is gone", async () => {
  expect(await world({ loadTenant: async () => undefined }).verifier.answer({ token })).toEqual({ ok: false, code: "invalid" });
});

it("cannot tell while an unknown tenant's database is away", async () => {
  const w = world({ loadTenant: () => Promise.reject(new Error("connection refused")) });
  await expect(w.verifier.answer({ token })).rejects.toMatchObject({ code: "unavailable", status: 503 });
  expect(await w.verifier.verify(token)).toEqual({ ok: false, code: "unavailable" });
});

it.each([[undefined], [{}], [{ token: 5 }], [{ token: "x".repeat(4_097) }]])("refuses the request %j", async (payload) => {
  await expect(world().verifier.answer(payload)).rejects.toBeInstanceOf(RpcError);
});

it("tells a missing token from a bad one", async () => {
  const { verifier } = world();
  expect([
    await verifier.verify(undefined),
    await verifier.verify(""),
    await verifier.verify("x"),
    await verifier.verify("x".repeat(5_000)),
  ]).toEqual([
    { ok: false, code: "missing" },
    { ok: false, code: "missing" },
    { ok: false, code: "invalid" },
    { ok: false, code: "invalid" },
  ]);
});

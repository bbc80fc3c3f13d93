import type { KeyRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import { SiteSettings } from "@headwater/protocol";
import { expect, it } from "vitest";
import { CredentialTable } from "./credential-table.ts";

const at = "2026-01-01T00:00:00.000Z";
const now = Date.parse(at);
const tenant: TenantRecord = { id: "ten_1", slug: "acme", name: "Acme", plan: "scale", createdAt: at };
const site: SiteRecord = { id: "site_1", tenantId: "ten_1", name: "main", domains: ["*"], settings: SiteSettings.parse({}), createdAt: at };
const key: KeyRecord = {
  id: "key_1", tenantId: "ten_1", name: "k", type: "server", hint: "cs_live_ab…", scopes: ["signals:read"], domains: [], createdAt: at, expiresAt: null, revokedAt: null,
}; // biome-ignore format: one literal

function table(): CredentialTable {
  const t = new CredentialTable();
  t.putTenant(tenant);
  t.putSite(site);
  t.putKey({ lookup: "L", record: key });
  return t;
}

it("answers with everything a surface needs to decide", () => {
  expect(table().verify("L", now, 7)).toMatchObject({
    ok: true,
    credential: { keyId: "key_1", tenantSlug: "acme", plan: "scale", limits: { feedConnections: 5 }, sites: [{ id: "site_1" }], reg: 7 },
  });
});

it("answers the same for a revoked, an unknown and a removed tenant's key", () => {
  const invalid = { ok: false, code: "invalid" };
  const t = table();
  expect(t.verify("other", now, 0)).toEqual(invalid);
  t.updateKey({ ...key, revokedAt: at });
  expect(t.verify("L", now, 0)).toEqual(invalid);
  const gone = table();
  gone.removeTenant("ten_1");
  expect(gone.verify("L", now, 0)).toEqual(invalid);
});

it("expires by the clock it is given", () => {
  const t = table();
  t.updateKey({ ...key, expiresAt: "2026-01-01T00:00:01.000Z" });
  expect(t.verify("L", now, 0).ok).toBe(true);
  expect(t.verify("L", now + 1_000, 0)).toEqual({ ok: false, code: "expired" });
});

it("applies a tenant's overrides over its plan", () => {
  const t = table();
  t.putTenant({ ...tenant, plan: "free", limits: { feedRead: true } });
  expect(t.verify("L", now, 0)).toMatchObject({ ok: true, credential: { plan: "free", limits: { feedRead: true, feedConnections: 0 } } });
});

it("does not take over a key whose hash it never saw", () => {
  const t = table();
  expect(t.updateKey({ ...key, id: "key_2" })).toBe(false);
  expect(t.keyCount()).toBe(1);
});

it("never brings a revoked key back, whatever arrives late", () => {
  const t = table();
  t.updateKey({ ...key, revokedAt: at });
  expect(t.updateKey(key)).toBe(true);
  t.putKey({ lookup: "L", record: key });
  expect(t.verify("L", now, 0)).toEqual({ ok: false, code: "invalid" });
  // Also when the revocation is the first thing heard of it.
  const fresh = new CredentialTable();
  fresh.putTenant(tenant);
  fresh.updateKey({ ...key, revokedAt: at });
  fresh.putKey({ lookup: "L", record: key });
  expect(fresh.verify("L", now, 0)).toEqual({ ok: false, code: "invalid" });
});

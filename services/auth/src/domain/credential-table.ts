/**
 * Every credential in memory: what `svc.auth.verify` answers from, also while PostgreSQL is away. Rows come from the database at start
 * and from the registry afterwards. Pure (mutable, no I/O). Tests: credential-table.test.ts.
 */
import { type Credential, type KeyRecord, limitsOf, type SiteRecord, type TenantRecord, type VerifyAnswer } from "@headwater/protocol";

export interface StoredKey {
  /** HMAC of the key's digest. */
  lookup: string;
  record: KeyRecord;
}

export class CredentialTable {
  readonly #tenants = new Map<string, TenantRecord>();
  readonly #sites = new Map<string, Map<string, SiteRecord>>();
  readonly #byLookup = new Map<string, StoredKey>();
  readonly #byId = new Map<string, StoredKey>();
  readonly #revoked = new Set<string>();

  putTenant(record: TenantRecord): void {
    this.#tenants.set(record.id, record);
  }
  removeTenant(id: string): void {
    this.#tenants.delete(id);
  }
  putSite(record: SiteRecord): void {
    const sites = this.#sites.get(record.tenantId) ?? new Map<string, SiteRecord>();
    sites.set(record.id, record);
    this.#sites.set(record.tenantId, sites);
  }
  /** Ignored for a key that is known to be revoked: the row was read before. */
  putKey(key: StoredKey): void {
    if (this.#revoked.has(key.record.id)) return;
    this.#byLookup.set(key.lookup, key);
    this.#byId.set(key.record.id, key);
  }
  /**
   * A revocation is final: an older record that arrives after it (a late or repeated message) does not bring the key back.
   * @returns false when the key is good and not known here: its hash must come from the database.
   */
  updateKey(record: KeyRecord): boolean {
    if (record.revokedAt !== null) {
      this.#revoked.add(record.id);
      this.removeKey(record.id);
    }
    if (this.#revoked.has(record.id)) return true;
    const known = this.#byId.get(record.id);
    if (known) known.record = record;
    return known !== undefined;
  }
  removeKey(id: string): void {
    const known = this.#byId.get(id);
    this.#byId.delete(id);
    if (known) this.#byLookup.delete(known.lookup);
  }
  hasTenant(id: string): boolean {
    return this.#tenants.has(id);
  }
  tenant(id: string): TenantRecord | undefined {
    return this.#tenants.get(id);
  }
  has(lookup: string): boolean {
    return this.#byLookup.has(lookup);
  }
  keyCount(): number {
    return this.#byId.size;
  }

  /**
   * A revoked key and one that never was get the same answer, so nobody learns which it is.
   * @param reg registry position the answer reflects.
   */
  verify(lookup: string, nowMs: number, reg: number): VerifyAnswer {
    const stored = this.#byLookup.get(lookup);
    const tenant = stored && this.#tenants.get(stored.record.tenantId);
    if (!stored || !tenant) return { ok: false, code: "invalid" };
    const { record } = stored;
    const userId = record.userId ?? tenant.ownerId;
    if (record.expiresAt !== null && Date.parse(record.expiresAt) <= nowMs) return { ok: false, code: "expired" };
    const credential: Credential = {
      keyId: record.id,
      keyType: record.type,
      tenantId: tenant.id,
      tenantSlug: tenant.slug,
      ...(userId === undefined ? {} : { userId }),
      plan: tenant.plan,
      limits: limitsOf(tenant.plan, tenant.limits),
      scopes: record.scopes,
      domains: record.domains,
      sites: [...(this.#sites.get(tenant.id)?.values() ?? [])],
      expiresAt: record.expiresAt,
      reg,
    };
    return { ok: true, credential };
  }
}

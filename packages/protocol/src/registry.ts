/**
 * Records of the REGISTRY stream, subject `registry.<aggregate>.<id>`: config facts with a position.
 * State-carrying: `data` is the whole current record, `null` when it is gone. No hashes, no secrets.
 */
import { z } from "zod";
import { KEY_TYPES } from "./visit-event.ts";
import { PLANS, PlanLimits } from "./plans.ts";
import { SiteSettings } from "./site-settings.ts";
import { REGISTRY_AGGREGATES } from "./subjects.ts";

export const TenantRecord = z.object({
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  plan: z.enum(PLANS),
  limits: PlanLimits.partial().optional(),
  /** The account that registered it; absent for a tenant made by an operator. */
  ownerId: z.string().optional(),
  createdAt: z.string(),
});
export type TenantRecord = z.infer<typeof TenantRecord>;

export const SiteRecord = z.object({
  id: z.string(),
  tenantId: z.string(),
  name: z.string(),
  /** Host names; `*.example.com` matches every subdomain, `*` any host. */
  domains: z.array(z.string()),
  settings: SiteSettings,
  createdAt: z.string(),
});
export type SiteRecord = z.infer<typeof SiteRecord>;

export const KeyRecord = z.object({
  id: z.string(),
  tenantId: z.string(),
  /** The account that made it; absent for a key made by an operator. */
  userId: z.string().optional(),
  name: z.string(),
  type: z.enum(KEY_TYPES),
  /** `cs_live_ab12…`: prefix and first four characters, enough to recognise a key in a list. */
  hint: z.string(),
  scopes: z.array(z.string()),
  /** Restricts the key to these domains; empty = the tenant's sites decide. */
  domains: z.array(z.string()),
  createdAt: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
});
export type KeyRecord = z.infer<typeof KeyRecord>;

/**
 * A login session that ended before its token expires: `registry.session.<id>` exists for revoked ones only, and leaves the stream by a
 * message TTL when the token has expired anyway.
 */
export const SessionRecord = z.object({
  id: z.string(),
  tenantId: z.string(),
  userId: z.string(),
  revokedAt: z.string(),
  /** `logout`, `terminated`, `password_changed`, `account_deleted`. */
  reason: z.string(),
});
export type SessionRecord = z.infer<typeof SessionRecord>;

/** One message of REGISTRY. Records of aggregates this version does not know are skipped by readers that do not ask for them. */
export const RegistryRecord = z.object({
  v: z.literal(1),
  /** `tenant.created`, `key.revoked`, … */
  type: z.string(),
  aggregate: z.enum(REGISTRY_AGGREGATES),
  id: z.string(),
  at: z.string(),
  data: z.unknown(),
});
export type RegistryRecord = z.infer<typeof RegistryRecord>;

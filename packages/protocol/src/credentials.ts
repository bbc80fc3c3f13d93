/** Questions to auth about who somebody is: `svc.auth.verify` (API key; its digest travels, never the key) and `svc.auth.session` (login token). */
import { z } from "zod";
import { PLANS, PlanLimits } from "./plans.ts";
import { SiteRecord } from "./registry.ts";
import { KEY_TYPES } from "./visit-event.ts";

/** `digest`: lower-case hex SHA-256 of the whole key. */
export const VerifyRequest = z.object({ digest: z.string().regex(/^[0-9a-f]{64}$/) });
export type VerifyRequest = z.infer<typeof VerifyRequest>;

export const Credential = z.object({
  keyId: z.string(),
  keyType: z.enum(KEY_TYPES),
  tenantId: z.string(),
  tenantSlug: z.string(),
  /** The account the key belongs to: who made it, else the owner of the tenant; absent for a tenant without an account. */
  userId: z.string().optional(),
  plan: z.enum(PLANS),
  /** The plan's limits with the tenant's overrides applied. */
  limits: PlanLimits,
  scopes: z.array(z.string()),
  /** Domains of the key itself; empty = those of the sites. `*` = any. */
  domains: z.array(z.string()),
  /** The first site is the default one (`main`). */
  sites: z.array(SiteRecord),
  expiresAt: z.string().nullable(),
  /** REGISTRY position this answer reflects. */
  reg: z.number().int().nonnegative(),
});
export type Credential = z.infer<typeof Credential>;

export const VerifyAnswer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), credential: Credential }),
  z.object({ ok: z.literal(false), code: z.enum(["invalid", "expired"]) }),
]);
export type VerifyAnswer = z.infer<typeof VerifyAnswer>;

/** A login token as it came. It crosses only NATS subjects that no tap may read. */
export const SessionRequest = z.object({ token: z.string().max(4_096) });
export type SessionRequest = z.infer<typeof SessionRequest>;

/** Who is logged in. A session may do everything its tenant's plan allows. */
export const SessionCredential = z.object({
  sessionId: z.string(),
  userId: z.string(),
  email: z.string(),
  /** Display name. */
  username: z.string(),
  tenantId: z.string(),
  tenantSlug: z.string(),
  plan: z.enum(PLANS),
  limits: PlanLimits,
  expiresAt: z.string(),
  reg: z.number().int().nonnegative(),
});
export type SessionCredential = z.infer<typeof SessionCredential>;

/** `claims`: well signed, but without a user. */
export const SessionAnswer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), session: SessionCredential }),
  z.object({ ok: z.literal(false), code: z.enum(["invalid", "claims"]) }),
]);
export type SessionAnswer = z.infer<typeof SessionAnswer>;

/** Question and answer of `svc.auth.verify`: who is behind an API key. The digest travels, never the key. */
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

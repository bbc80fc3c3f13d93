/**
 * Operator commands as schemas: unknown members are refused, so nobody can assign what is not theirs to set.
 * Pure. Tests: commands.test.ts.
 */
import { KEY_FORMATS, KEY_TYPES, type KeyPrefix, PLANS, PlanLimits, SCOPES, SiteSettings } from "@headwater/protocol";
import { z } from "zod";

export const Slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,47}$/, "lower-case letters, digits and dashes, at most 48");
/** No control characters and no lone surrogates: it is shown on terminals and stored as UTF-8. */
const Name = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "no control characters");
const DomainPattern = z
  .string()
  .max(253)
  .regex(/^(\*|(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*)$/i, "a host name, *.host or *");
/** `cs_live` and `cs_live_` mean the same. */
const Prefix = z
  .string()
  .transform((text) => (text.endsWith("_") ? text : `${text}_`))
  .pipe(z.enum(KEY_FORMATS.map((format) => format.prefix) as [KeyPrefix, ...KeyPrefix[]]));

export const CreateKey = z.strictObject({
  tenant: Slug,
  /** Plan of the tenant when it does not exist yet; an existing tenant must have this plan already. */
  plan: z.enum(PLANS).optional(),
  name: Name.optional(),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
  type: z.enum(KEY_TYPES).default("browser"),
  prefix: Prefix.optional(),
  domains: z.array(DomainPattern).max(64).default([]),
  expiresAt: z.iso
    .datetime({ offset: true })
    .refine((text) => Date.parse(text) > 0, "after 1970")
    .optional(),
});
export type CreateKey = z.infer<typeof CreateKey>;

export const CreateTenant = z.strictObject({
  slug: Slug,
  name: Name.optional(),
  plan: z.enum(PLANS).default("free"),
  domains: z.array(DomainPattern).max(64).optional(),
});
export type CreateTenant = z.infer<typeof CreateTenant>;

export const SetPlan = z.strictObject({
  plan: z.enum(PLANS),
  limits: PlanLimits.partial().strict().nullable().optional(),
  /** May the month's LLM tokens go over the limit? Unsaid = as it was; true for a new tenant. */
  overdraftAllowed: z.boolean().optional(),
});
export type SetPlan = z.infer<typeof SetPlan>;

export const PutSite = z.strictObject({
  domains: z.array(DomainPattern).max(64).optional(),
  settings: SiteSettings.refine(isStorable, "no NUL characters and no lone surrogates").optional(),
});
export type PutSite = z.infer<typeof PutSite>;

export const DEFAULT_PREFIX: KeyPrefix = "cs_live_";

/** Enough of a key to recognise it in a list. */
export function hintOf(key: string, prefix: string): string {
  return `${prefix}${key.slice(prefix.length, prefix.length + 4)}…`;
}

/** PostgreSQL's jsonb holds neither; JSON.stringify writes both as escapes. */
function isStorable(value: unknown): boolean {
  return !/\\u(0000|d[89a-f][0-9a-f]{2})/.test(JSON.stringify(value).replaceAll("\\\\", ""));
}

/** Lines of `erasures.<lane>` and `consents.<lane>`: visitors appear only as keyed hashes (runtime `privacyKeyOf`). */
import { z } from "zod";

export const ErasureRecord = z.object({
  v: z.literal(1),
  kind: z.enum(["optout", "optin"]),
  /** Keyed hash of `tenant:visitorId`, 32 hex characters. */
  key: z.string().regex(/^[0-9a-f]{32}$/),
  /** Time of the command, ms. */
  ts: z.number().int(),
});
export type ErasureRecord = z.infer<typeof ErasureRecord>;

export const ConsentRecord = z.object({
  v: z.literal(1),
  key: z.string().regex(/^[0-9a-f]{32}$/),
  tenantId: z.string(),
  siteId: z.string(),
  ts: z.number().int(),
  source: z.enum(["transition", "receipt"]),
  analytics: z.boolean().optional(),
  identity: z.boolean().optional(),
  marketing: z.boolean().optional(),
  previous: z.record(z.string(), z.boolean()).optional(),
  method: z.string().optional(),
  version: z.string().optional(),
  gpc: z.boolean().optional(),
});
export type ConsentRecord = z.infer<typeof ConsentRecord>;

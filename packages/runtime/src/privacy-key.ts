/** The keyed hash under which a visitor appears in erasures and consents: a dump of those streams names nobody. */
import { createHmac } from "node:crypto";

/** @returns 32 lower-case hex characters. */
export function privacyKeyOf(secret: string, tenantId: string, visitorId: string): string {
  return createHmac("sha256", secret).update(`${tenantId}:${visitorId}`).digest("hex").slice(0, 32);
}

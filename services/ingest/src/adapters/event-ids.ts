/** Ids of accepted events: unique without coordination, cheap, no secret. */
import { randomBytes } from "node:crypto";

/** `evt_` + 12 random characters of this process + a counter. */
export function createEventIds(): () => string {
  const prefix = `evt_${randomBytes(9).toString("base64url")}`;
  let count = 0;
  return () => `${prefix}${(count++).toString(36).padStart(4, "0")}`;
}

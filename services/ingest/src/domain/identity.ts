/**
 * Which identifiers of an event are kept: hashed ones with identity consent, click ids and UTM with marketing consent, raw ones never.
 * Pure: hashing is an argument. Tests: small-rules.test.ts.
 */
import { CLICK_IDS } from "./scrub-url.ts";
import { scrubText } from "./scrub-text.ts";
import { clip } from "./text.ts";

const HASHED: Readonly<Record<string, RegExp>> = {
  hem: /^[0-9a-f]{64}$/,
  hemMd5: /^[0-9a-f]{32}$/,
  hashedPhone: /^[0-9a-f]{64}$/,
};
const NAMED = ["customerId", "accountId", "googleId", "facebookId", "linkedinId", "appleId", "maid", "maidType"] as const;
const UTM = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id"] as const;
const MARKETING = [...CLICK_IDS, ...UTM] as const;

export interface IdentityRules {
  identity: boolean;
  marketing: boolean;
  /** Lower-case hex SHA-256. */
  sha256: (text: string) => string;
}

/** @returns undefined when nothing is left. */
export function keptIdentity(given: Readonly<Record<string, unknown>>, rules: IdentityRules): Record<string, string> | undefined {
  const kept: Record<string, string> = {};
  let count = 0;
  const keep = (name: string, value: string) => {
    kept[name] = value;
    count++;
  };
  if (rules.identity) {
    for (const [name, shape] of Object.entries(HASHED)) {
      const value = own(given, name);
      if (value !== undefined && shape.test(value.toLowerCase())) keep(name, value.toLowerCase());
    }
    for (const name of NAMED) {
      const value = own(given, name);
      // Some sites use an e-mail address as customer id.
      if (value !== undefined) keep(name, scrubText(clip(value, 128), "standard"));
    }
    const rawEmail = own(given, "rawEmail");
    if (rawEmail !== undefined && kept["hem"] === undefined) keep("hem", rules.sha256(rawEmail.trim().toLowerCase()));
    const rawPhone = own(given, "rawPhone");
    const e164 = rawPhone?.replace(/[^\d+]/g, "");
    if (e164 !== undefined && /^\+\d{7,15}$/.test(e164) && kept["hashedPhone"] === undefined) keep("hashedPhone", rules.sha256(e164));
  }
  if (rules.marketing) {
    for (const name of MARKETING) {
      const value = own(given, name);
      if (value !== undefined) keep(name, clip(value, 256));
    }
  }
  return count === 0 ? undefined : kept;
}

function own(given: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** `properties` of a custom event: flat, at most 2 KiB, scrubbed, and never a field that holds card, bank or health numbers. Pure. */
import { type ScrubLevel, scrubText } from "./scrub-text.ts";
import { clip, clipForScrub } from "./text.ts";

export type Property = string | number | boolean | null;

const MAX_CHARS = 2048;
const MAX_KEY = 64;
/** Names that would change an object instead of filling it. */
const FORBIDDEN: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
const NEVER_KEPT =
  /^(?:card|cc|credit_?card)_?-?(?:number|num|no)?$|^(?:cvv2?|cvc2?|csc|ssn|iban|bic|pin)$|^(?:bank_?)?(?:account|routing)_?-?(?:number|num|no)$|^(?:diagnosis|medication|mrn|icd(?:9|10)?)$/i;

/** Nested values, forbidden names and whatever is beyond the size limit are left out; the event is kept. */
export function keptProperties(given: Readonly<Record<string, unknown>>, level: ScrubLevel): Record<string, Property> | undefined {
  const kept: Record<string, Property> = {};
  let chars = 2;
  for (const key of Object.keys(given)) {
    if (FORBIDDEN.has(key) || key.length > MAX_KEY || NEVER_KEPT.test(key)) continue;
    const value = propertyOf(given[key], level);
    if (value === undefined) continue;
    chars += key.length + 4 + (typeof value === "string" ? value.length + 2 : 8);
    if (chars > MAX_CHARS) break;
    kept[key.toWellFormed()] = value;
  }
  return chars === 2 ? undefined : kept;
}

function propertyOf(value: unknown, level: ScrubLevel): Property | undefined {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  return typeof value === "string" ? clip(scrubText(clipForScrub(value, MAX_CHARS), level), MAX_CHARS) : undefined;
}

/** One text and one hash per state, whatever the order of insertion. Tests: canonical.test.ts. */
import { createHash } from "node:crypto";

/** JSON with sorted object keys. The input must be a JSON value. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item === undefined ? null : item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields: string[] = [];
  for (const [name, field] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (field !== undefined) fields.push(`${JSON.stringify(name)}:${canonicalJson(field)}`);
  }
  return `{${fields.join(",")}}`;
}

/** Hash of a whole fold state: of `key, state` lines in key order. @param entries state as {@link canonicalJson} */
export function hashState(entries: Iterable<readonly [key: string, canonical: string]>): string {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const hash = createHash("sha256");
  for (const [key, canonical] of sorted) hash.update(`${JSON.stringify(key)}\t${canonical}\n`);
  return hash.digest("hex");
}

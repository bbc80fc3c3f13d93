/**
 * Decodes one message of `visits.<lane>`: NDJSON, one input a line. Only `ingest` writes there, after validation, so the check here is
 * cheap and structural; a line that fails it goes to the dead letters and the lane moves on. Tests: visit-inputs.test.ts.
 */
import type { VisitInput } from "@headwater/protocol";

export type DecodedInput = { ok: true; input: VisitInput } | { ok: false; reason: string; raw: string };

const decoder = new TextDecoder();

export function decodeVisitInputs(data: Uint8Array): DecodedInput[] {
  return decoder
    .decode(data)
    .split("\n")
    .filter((line) => line !== "")
    .map(decodeLine);
}

function decodeLine(line: string): DecodedInput {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { ok: false, reason: "not JSON", raw: line };
  }
  const problem = problemOf(value);
  // The cast holds: problemOf checked the discriminator and every member the fold relies on.
  return problem === undefined ? { ok: true, input: value as VisitInput } : { ok: false, reason: problem, raw: line };
}

function problemOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "not an object";
  // Widens property access only; every member used is checked.
  const v = value as Record<string, unknown>;
  // An input of a later version would be folded wrongly: a dead letter can be replayed after the deploy, a wrong score cannot be taken back.
  if (v["v"] !== 1) return `unsupported version ${String(v["v"])}`;
  for (const name of ["tenantId", "visitorId", "id"]) if (typeof v[name] !== "string") return `${name} is missing`;
  if (!Number.isFinite(v["ts"])) return "ts is missing";
  if (v["kind"] === "optout" || v["kind"] === "optin") return undefined;
  if (v["kind"] !== "visit") return `unknown kind ${String(v["kind"])}`;
  for (const name of ["siteId", "sessionId", "path", "type"]) if (typeof v[name] !== "string") return `${name} is missing`;
  if (!Number.isFinite(v["et"])) return "et is missing";
  const device = v["device"];
  if (typeof device !== "object" || device === null || !("userAgent" in device)) return "device is missing";
  return undefined;
}

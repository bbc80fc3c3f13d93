/**
 * Schema check of single client events: the zod schemas of the contract, compiled by ajv because this runs tens of thousands of times a
 * second. One validator per event type, so that an error names the member and not a union. Tests: event-validator.test.ts.
 */
import { CollectorEvents, COLLECTOR_TYPES, type CollectorEvent, type CollectorType } from "@headwater/protocol";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { z } from "zod";
import type { Validated } from "../domain/batch.ts";

/** Not accepted on this endpoint, although an older edition of the public contract lists them. */
const KNOWN_BUT_UNSUPPORTED = "is not accepted here";

export function createEventValidator(): (raw: unknown) => Validated {
  // Numbers must be finite (`strictNumbers`, on by default): 1e999 parses to Infinity, which JSON cannot write again.
  const ajv = new Ajv({ allErrors: false, strict: true, strictTypes: false, ownProperties: true });
  const validators = new Map<string, ValidateFunction>();
  for (const type of COLLECTOR_TYPES) {
    const schema = z.toJSONSchema(CollectorEvents[type], { target: "draft-7", io: "input", unrepresentable: "any" });
    validators.set(type, ajv.compile(schema));
  }
  return (raw) => {
    if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
      return { ok: false, code: "invalid_event", message: "an event must be an object" };
    }
    const type = Object.hasOwn(raw, "type") ? (raw as { type: unknown }).type : undefined;
    if (type === undefined) return { ok: false, code: "missing_field", message: "type is required" };
    const validate = typeof type === "string" ? validators.get(type) : undefined;
    if (!validate) {
      const shown = typeof type === "string" ? JSON.stringify(type.slice(0, 64).toWellFormed()) : "this value";
      return { ok: false, code: "unsupported_event_type", message: `type ${shown} ${KNOWN_BUT_UNSUPPORTED}` };
    }
    // The cast holds: the schema compiled for this type just said so.
    if (validate(raw)) return { ok: true, event: raw as CollectorEvent<CollectorType> };
    return { ok: false, ...describe(validate.errors ?? []) };
  };
}

function describe(errors: readonly ErrorObject[]): { code: "missing_field" | "invalid_field"; message: string } {
  const error = errors[0];
  const path = (error?.instancePath ?? "").slice(1).replaceAll("/", ".");
  if (error?.keyword === "required") {
    // ajv types the params of its keywords as a loose record.
    const missing = String((error.params as { missingProperty?: unknown }).missingProperty);
    return { code: "missing_field", message: `${path === "" ? "" : `${path}.`}${missing} is required` };
  }
  const allowed: unknown = error?.params["allowedValues"];
  const detail = Array.isArray(allowed) ? `must be one of ${allowed.join(", ")}` : (error?.message ?? "is not valid");
  return { code: "invalid_field", message: `${path.toWellFormed().slice(0, 128)} ${detail}` };
}

/** Sessions of backends that keep none: one id per visitor and half hour. Pure. Tests: small-rules.test.ts. */
import { fnv1a32 } from "@headwater/protocol";

const WINDOW_MS = 30 * 60_000;

/** `sess_srv_` + 16 hex characters; equal for all events of a visitor in the same half hour of event time. */
export function serverSessionId(visitorId: string, et: number): string {
  const window = Math.floor(et / WINDOW_MS) * WINDOW_MS;
  return `sess_srv_${hex(fnv1a32(`${visitorId}|${window}`))}${hex(fnv1a32(`${window}|${visitorId}`))}`;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

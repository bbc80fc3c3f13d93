/** The parsed body of `POST /v1/events`: an object with 1–100 events. Pure. Tests: small-rules.test.ts. */
import { type ErrorCode, MAX_EVENTS_PER_BATCH } from "@headwater/protocol";

export type ReadBatch =
  | { ok: true; events: readonly unknown[]; sentAt: number | undefined }
  | { ok: false; code: ErrorCode; message: string };

export function readBatch(body: unknown): ReadBatch {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return invalid("the body must be an object with `events`");
  const events = Object.hasOwn(body, "events") ? (body as { events: unknown }).events : undefined;
  if (!Array.isArray(events)) return invalid("`events` must be an array");
  if (events.length === 0) return invalid("`events` must not be empty");
  if (events.length > MAX_EVENTS_PER_BATCH) {
    return { ok: false, code: "payload_too_large", message: `a batch holds at most ${MAX_EVENTS_PER_BATCH} events` };
  }
  const sentAt = Object.hasOwn(body, "sentAt") ? (body as { sentAt: unknown }).sentAt : undefined;
  if (sentAt === undefined || sentAt === null) return { ok: true, events, sentAt: undefined };
  if (typeof sentAt !== "number" || !Number.isFinite(sentAt)) return invalid("`sentAt` must be a number of milliseconds");
  return { ok: true, events, sentAt };
}

function invalid(message: string): ReadBatch {
  return { ok: false, code: "invalid_request", message };
}

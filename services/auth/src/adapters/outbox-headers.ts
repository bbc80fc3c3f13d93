/** Headers of a registry message: the end of a login session is forgotten by the stream when no token can name it any more. Tests: outbox-headers.test.ts. */
import { parseSubject, RegistryRecord } from "@headwater/protocol";
import type { OutboxRow } from "@headwater/postgres";
import { SESSION_LIFETIME_MS } from "../domain/account-rules.ts";

export function headersOf(row: Pick<OutboxRow, "subject" | "payload">, nowMs: number): Record<string, string> {
  const subject = parseSubject(row.subject);
  if (subject.kind !== "registry" || subject.aggregate !== "session") return {};
  const { at } = RegistryRecord.parse(JSON.parse(row.payload));
  // A message that waited long is not refused for it: one second is the shortest life the server knows.
  const leftS = Math.max(1, Math.ceil((Date.parse(at) + SESSION_LIFETIME_MS - nowMs) / 1_000));
  return { "Nats-TTL": `${leftS}s` };
}

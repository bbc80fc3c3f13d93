import { expect, it } from "vitest";
import { SESSION_LIFETIME_MS } from "../domain/account-rules.ts";
import { headersOf } from "./outbox-headers.ts";

const at = "2026-06-01T00:00:00.000Z";
const row = (subject: string) => ({
  subject,
  payload: JSON.stringify({ v: 1, type: "session.revoked", aggregate: "session", id: "s1", at, data: {} }),
});

it.each([
  [0, "604800s"],
  [1_500, "604799s"],
  [SESSION_LIFETIME_MS - 1, "1s"],
  [SESSION_LIFETIME_MS + 60_000, "1s"],
])("gives the end of a session that waited %d ms a life of %s", (waitedMs, ttl) => {
  expect(headersOf(row("registry.session.s1"), Date.parse(at) + waitedMs)).toEqual({ "Nats-TTL": ttl });
});

it("lets every other fact stay for ever", () => expect(headersOf(row("registry.key.s1"), Date.parse(at))).toEqual({}));

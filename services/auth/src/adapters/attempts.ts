/**
 * Lockout, shared by all instances: an attempt is written down before anything is compared, so that parallel guesses are counted too, and is
 * taken back when it was right. Nobody's e-mails are counted like everybody's. Tests: ../accounts.int.test.ts.
 */
import type pg from "pg";
import { FAILURE_WINDOW_MS, MAX_FAILURES } from "../domain/account-rules.ts";
import { maskOf } from "./secrets.ts";
import type { StoreOptions } from "./transaction.ts";

export type Attempt = { ok: true; key: string; at: Date } | { ok: false; retryAfterMs: number };

/** Counts one attempt as failed until further notice; refuses it when there are too many. */
export async function beginAttempt(
  client: Pick<pg.ClientBase, "query">,
  options: StoreOptions,
  purpose: "login" | "step-up",
  subject: string,
): Promise<Attempt> {
  const key = maskOf(options.pepper, purpose, subject);
  const at = options.now();
  const since = new Date(at.getTime() - FAILURE_WINDOW_MS);
  const counted = await client.query(
    `INSERT INTO auth.attempts AS a (key, failures, last_at) VALUES ($1, ARRAY[$2::timestamptz], $2)
     ON CONFLICT (key) DO UPDATE
       SET failures = array_append(ARRAY(SELECT f FROM unnest(a.failures) f WHERE f > $3 ORDER BY f), $2::timestamptz), last_at = $2
       WHERE (SELECT count(*) FROM unnest(a.failures) f WHERE f > $3) < $4
     RETURNING key`,
    [key, at, since, MAX_FAILURES],
  );
  if (counted.rows.length > 0) return { ok: true, key, at };
  const { rows } = await client.query<{ oldest: Date | null }>(
    "SELECT (SELECT min(f) FROM unnest(failures) f WHERE f > $2) AS oldest FROM auth.attempts WHERE key = $1",
    [key, since],
  );
  // A guess of another instance may be a moment newer than this one: nobody waits for longer than the window.
  const oldest = rows[0]?.oldest?.getTime() ?? at.getTime();
  return { ok: false, retryAfterMs: Math.min(FAILURE_WINDOW_MS, Math.max(1_000, oldest + FAILURE_WINDOW_MS - at.getTime())) };
}

/** Somebody proved to be who they say: their earlier failures are forgotten. */
export async function clearAttempts(client: Pick<pg.ClientBase, "query">, key: string): Promise<void> {
  await client.query("DELETE FROM auth.attempts WHERE key = $1", [key]);
}

/** The attempt was neither right nor wrong (the second factor was not asked for yet). */
export async function takeBackAttempt(client: Pick<pg.ClientBase, "query">, attempt: { key: string; at: Date }): Promise<void> {
  await client.query("UPDATE auth.attempts SET failures = array_remove(failures, $2::timestamptz) WHERE key = $1", [
    attempt.key,
    attempt.at,
  ]);
}

export async function pruneAttempts(client: Pick<pg.ClientBase, "query">, nowMs: number): Promise<void> {
  await client.query("DELETE FROM auth.attempts WHERE last_at < $1", [new Date(nowMs - FAILURE_WINDOW_MS)]);
}

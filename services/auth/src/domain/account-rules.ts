/**
 * Rules of accounts: what an e-mail and a password must look like, how attempts are limited, what a month's token usage shows, which scopes a
 * plan includes. Pure. Tests: account-rules.test.ts.
 */
import { MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, type PlanLimits, type Scope, type TokenUsage } from "@headwater/protocol";

/** A login token and its session live exactly this long. */
export const SESSION_LIFETIME_MS = 7 * 24 * 3_600_000;
/** This many failures of one account within the window, and nobody gets in until the oldest has left it. */
export const MAX_FAILURES = 10;
export const FAILURE_WINDOW_MS = 15 * 60_000;
/** One more ends the oldest: rows and revocations of one account stay few. */
export const MAX_SESSIONS = 200;
export const MAX_USER_AGENT = 512;

/** As stored and compared. */
export function normalEmail(given: string): string {
  return given.trim().toLowerCase();
}

/** Something@host.tld without spaces and controls, at most 254 characters. Whether it can be delivered to is not known here. */
export function isEmail(email: string): boolean {
  return email.length <= 254 && /^[^\s@\p{C}]{1,64}@[^\s@\p{C}.]+(\.[^\s@\p{C}.]+)+$/u.test(email);
}

/** Bytes, not characters, and no cut-off inside: argon2id hashes all of it. */
export function isPasswordAllowed(password: string): boolean {
  const bytes = new TextEncoder().encode(password).length;
  return bytes >= MIN_PASSWORD_BYTES && bytes <= MAX_PASSWORD_BYTES;
}

/** Two passwords longer than this differ for sure: nobody has one, so it need not be hashed. */
export function isPasswordPossible(password: string): boolean {
  return password.length <= MAX_PASSWORD_BYTES;
}

/** `YYYY-MM`, UTC. */
export function monthOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 7);
}

/** The month began with the calendar, or with the account. */
export function tokenUsageOf(facts: {
  nowMs: number;
  createdAt: string;
  tokensUsed: number;
  limit: number;
  overdraftAllowed: boolean;
}): TokenUsage {
  const currentMonth = monthOf(facts.nowMs);
  const start = `${currentMonth}-01T00:00:00.000Z`;
  return {
    currentMonth,
    tokensUsed: facts.tokensUsed,
    limit: facts.limit,
    lastResetDate: facts.createdAt > start ? facts.createdAt : start,
    overdraftAllowed: facts.overdraftAllowed,
  };
}

/** Scopes that would be of no use under this plan; empty = all are fine. */
export function scopesOutsidePlan(scopes: readonly Scope[], limits: PlanLimits): Scope[] {
  return scopes.filter((scope) => {
    if (scope === "signals:read") return !limits.snapshotRead && !limits.feedRead;
    if (scope === "live:read") return !limits.feedRead;
    return scope === "signals:write" && !limits.feedWrite;
  });
}

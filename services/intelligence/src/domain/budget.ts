/**
 * Who may start a call: tokens left in the month, calls at once, calls a minute. A call reserves an estimate before it starts and settles with
 * what it used, so that ten calls at once cannot each find the last thousand tokens. The month's counter itself is kept by auth; this only
 * judges. Time comes in. Pure. Tests: budget.test.ts.
 */
import { API_ERRORS, type TokenUsage } from "@headwater/protocol";

export interface BudgetOptions {
  /** Calls of one tenant at once. */
  concurrent: number;
  /** Calls of one tenant a minute, and how many may come at once. */
  perMinute: number;
  burst: number;
  /** With overdraft: calls are refused at this multiple of the quota; undefined: never. */
  hardLimit: number | undefined;
}

export const BUDGET_OPTIONS: BudgetOptions = { concurrent: 4, perMinute: 60, burst: 20, hardLimit: undefined };

export type BudgetRefusal = "token quota exceeded" | "too many concurrent queries" | typeof API_ERRORS.RATE_LIMITED.message;

export interface Reservation {
  readonly tenantId: string;
  readonly tokens: number;
}

export type BudgetDecision =
  | { ok: true; reservation: Reservation }
  | { ok: false; status: 429; message: BudgetRefusal; retryAfterMs?: number };

interface Account {
  open: Set<Reservation>;
  reserved: number;
  /** Calls that may start now, as of `at`. */
  allowance: number;
  at: number;
}

const MINUTE_MS = 60_000;

export class Budget {
  readonly #options: BudgetOptions;
  readonly #accounts = new Map<string, Account>();

  constructor(options: BudgetOptions = BUDGET_OPTIONS) {
    this.#options = options;
  }

  /**
   * @param usage the month so far, without open calls. @param tokens most this call may use; 0 for a provider that costs nothing, which is
   * then limited by number only. @param now ms, never jumping.
   */
  reserve(tenantId: string, usage: TokenUsage, tokens: number, now: number): BudgetDecision {
    const account = this.#account(tenantId, now);
    if (account.open.size >= this.#options.concurrent) return refuse("too many concurrent queries");
    if (tokens > 0 && !this.#hasTokens(usage, account.reserved)) return refuse("token quota exceeded");
    if (account.allowance < 1)
      return {
        ...refuse(API_ERRORS.RATE_LIMITED.message),
        retryAfterMs: Math.ceil(((1 - account.allowance) * MINUTE_MS) / this.#options.perMinute),
      };
    account.allowance -= 1;
    const reservation: Reservation = { tenantId, tokens };
    account.open.add(reservation);
    account.reserved += tokens;
    return { ok: true, reservation };
  }

  /** The call has ended, however it did. What it used is added to the month elsewhere. Twice is once. */
  settle(reservation: Reservation): void {
    const account = this.#accounts.get(reservation.tenantId);
    if (account === undefined || !account.open.delete(reservation)) return;
    account.reserved -= reservation.tokens;
  }

  /** Forgets tenants with nothing open and a full allowance; call it now and then. Number of tenants left. */
  sweep(now: number): number {
    for (const [tenantId, account] of this.#accounts)
      if (account.open.size === 0 && this.#account(tenantId, now).allowance >= this.#options.burst) this.#accounts.delete(tenantId);
    return this.#accounts.size;
  }

  /** The last call may end above the limit by what it was still missing; none starts at or above it. */
  #hasTokens(usage: TokenUsage, reserved: number): boolean {
    const spent = usage.tokensUsed + reserved;
    if (!usage.overdraftAllowed) return spent < usage.limit;
    return this.#options.hardLimit === undefined || spent < usage.limit * this.#options.hardLimit;
  }

  #account(tenantId: string, now: number): Account {
    const { perMinute, burst } = this.#options;
    const known = this.#accounts.get(tenantId);
    if (known === undefined) {
      const account: Account = { open: new Set(), reserved: 0, allowance: burst, at: now };
      this.#accounts.set(tenantId, account);
      return account;
    }
    known.allowance = Math.min(burst, known.allowance + (Math.max(0, now - known.at) * perMinute) / MINUTE_MS);
    known.at = Math.max(known.at, now);
    return known;
  }
}

function refuse(message: BudgetRefusal): { ok: false; status: 429; message: BudgetRefusal } {
  return { ok: false, status: 429, message };
}

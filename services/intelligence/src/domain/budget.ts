/**
 * Who may start a call that costs tokens. A call reserves an estimate before it starts and settles when it has ended, so that ten calls at once
 * cannot each find the last thousand tokens. The month's counter itself is kept by auth; this only judges. Pure. Tests: budget.test.ts.
 */
import type { TokenUsage } from "@headwater/protocol";

export interface BudgetOptions {
  /** With overdraft: calls are refused at this multiple of the quota; undefined: never. */
  hardLimit: number | undefined;
}

export interface Reservation {
  readonly tenantId: string;
  readonly tokens: number;
}

export class Budget {
  readonly #options: BudgetOptions;
  readonly #open = new Map<string, Set<Reservation>>();

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  /** The last call may end above the limit by what it was still missing; none starts at or above it. @param usage the month so far. */
  hasTokens(tenantId: string, usage: TokenUsage): boolean {
    let spent = usage.tokensUsed;
    for (const { tokens } of this.#open.get(tenantId) ?? []) spent += tokens;
    if (!usage.overdraftAllowed) return spent < usage.limit;
    return this.#options.hardLimit === undefined || spent < usage.limit * this.#options.hardLimit;
  }

  /** @param tokens most this call may use. Undefined: the quota is used up. */
  reserve(tenantId: string, usage: TokenUsage, tokens: number): Reservation | undefined {
    if (!this.hasTokens(tenantId, usage)) return undefined;
    const reservation: Reservation = { tenantId, tokens };
    const open = this.#open.get(tenantId);
    if (open) open.add(reservation);
    else this.#open.set(tenantId, new Set([reservation]));
    return reservation;
  }

  /** The call has ended, however it did. What it used is added to the month elsewhere. Twice is once. */
  settle(reservation: Reservation): void {
    const open = this.#open.get(reservation.tenantId);
    open?.delete(reservation);
    if (open?.size === 0) this.#open.delete(reservation.tenantId);
  }
}

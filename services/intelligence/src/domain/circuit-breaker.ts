/**
 * Stops asking a provider that keeps failing, and lets one call through from time to time to see whether it is back. Time is an argument.
 * Pure. Tests: circuit-breaker.test.ts.
 */
export interface BreakerLimits {
  /** Failures in a row that open it. */
  failures: number;
  /** First pause, ms; doubled at every failed probe. */
  pauseMs: number;
  maxPauseMs: number;
}

export const BREAKER_LIMITS: BreakerLimits = { failures: 5, pauseMs: 10_000, maxPauseMs: 120_000 };

export class CircuitBreaker {
  readonly #limits: BreakerLimits;
  #failures = 0;
  #openUntil = 0;
  #pauseMs: number;
  #isProbing = false;

  constructor(limits: BreakerLimits = BREAKER_LIMITS) {
    this.#limits = limits;
    this.#pauseMs = limits.pauseMs;
  }

  /** Ask before each call, then tell how it ended. `retryAfterMs`: when the next probe may go. */
  admit(now: number): { ok: true } | { ok: false; retryAfterMs: number } {
    if (this.#failures < this.#limits.failures) return { ok: true };
    if (now < this.#openUntil) return { ok: false, retryAfterMs: this.#openUntil - now };
    if (this.#isProbing) return { ok: false, retryAfterMs: this.#limits.pauseMs };
    this.#isProbing = true;
    return { ok: true };
  }

  succeeded(): void {
    this.#failures = 0;
    this.#isProbing = false;
    this.#pauseMs = this.#limits.pauseMs;
  }

  /** The caller left before an answer: says nothing about the provider, but frees the probe. */
  abandoned(): void {
    this.#isProbing = false;
  }

  failed(now: number): void {
    this.#failures += 1;
    if (this.#failures < this.#limits.failures) return;
    if (this.#isProbing) this.#pauseMs = Math.min(this.#limits.maxPauseMs, this.#pauseMs * 2);
    this.#isProbing = false;
    this.#openUntil = now + this.#pauseMs;
  }

  isOpen(): boolean {
    return this.#failures >= this.#limits.failures;
  }
}

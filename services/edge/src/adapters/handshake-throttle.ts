/** Guessing keys: more than so many refused credentials per address and minute, and the address has to wait. Bounded. Tests: limits.test.ts. */

const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;

interface Window {
  startMs: number;
  failures: number;
}

export class HandshakeThrottle {
  readonly #maxFailures: number;
  readonly #monotonicMs: () => number;
  readonly #windows = new Map<string, Window>();

  constructor(maxFailures: number, monotonicMs: () => number) {
    this.#maxFailures = maxFailures;
    this.#monotonicMs = monotonicMs;
  }

  /** Seconds to wait, 0 = go ahead. */
  retryAfterSeconds(address: string): number {
    const window = this.#windows.get(address);
    if (!window || window.failures < this.#maxFailures) return 0;
    const leftMs = window.startMs + WINDOW_MS - this.#monotonicMs();
    return leftMs <= 0 ? 0 : Math.ceil(leftMs / 1000);
  }

  failed(address: string): void {
    const now = this.#monotonicMs();
    const window = this.#windows.get(address);
    if (window && now - window.startMs < WINDOW_MS) {
      window.failures++;
      return;
    }
    this.#windows.delete(address);
    this.#windows.set(address, { startMs: now, failures: 1 });
    if (this.#windows.size <= MAX_ADDRESSES) return;
    const oldest = this.#windows.keys().next();
    if (!oldest.done) this.#windows.delete(oldest.value);
  }
}

/** Inbound rate of one socket: `ratePerSecond`, with a burst of one second. Pure, two numbers of state. Tests: small.test.ts. */
export class TokenBucket {
  readonly #rate: number;
  #tokens: number;
  #atMs: number;

  constructor(ratePerSecond: number, nowMs: number) {
    this.#rate = ratePerSecond;
    this.#tokens = ratePerSecond;
    this.#atMs = nowMs;
  }

  take(nowMs: number): boolean {
    this.#tokens = Math.min(this.#rate, this.#tokens + ((nowMs - this.#atMs) * this.#rate) / 1000);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Token bucket: twice the rate at once, refilled at the rate. Pure: time is an argument. Tests: small-rules.test.ts. */

export interface Bucket {
  tokens: number;
  /** When `tokens` was true, monotonic ms. */
  atMs: number;
}

export const BURST_FACTOR = 2;

export interface Grant {
  ok: boolean;
  /** Tokens left, whole. */
  remaining: number;
  /** Until the bucket is full again, ms. */
  fullInMs: number;
  /** Until the refused amount would fit, ms; 0 when granted. */
  retryInMs: number;
}

export function newBucket(ratePerSecond: number, nowMs: number): Bucket {
  return { tokens: ratePerSecond * BURST_FACTOR, atMs: nowMs };
}

/** Takes `amount` or nothing. Mutates the bucket. An amount above the capacity is never granted. */
export function take(bucket: Bucket, ratePerSecond: number, amount: number, nowMs: number): Grant {
  const capacity = ratePerSecond * BURST_FACTOR;
  bucket.tokens = Math.min(capacity, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) * ratePerSecond) / 1000);
  bucket.atMs = nowMs;
  const ok = bucket.tokens >= amount;
  const missing = ok ? 0 : amount - bucket.tokens;
  if (ok) bucket.tokens -= amount;
  return {
    ok,
    remaining: Math.floor(bucket.tokens),
    fullInMs: ((capacity - bucket.tokens) / ratePerSecond) * 1000,
    retryInMs: (missing / ratePerSecond) * 1000,
  };
}

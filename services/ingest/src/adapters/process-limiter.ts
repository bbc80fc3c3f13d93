/** Rate limits of this process: one token bucket per key, forgotten when it is full again. Tests: small-adapters.test.ts. */
import type { Clock } from "@headwater/runtime";
import { type Bucket, BURST_FACTOR, newBucket, take } from "../domain/token-bucket.ts";
import type { Limiter } from "../ports.ts";

const SWEEP_ABOVE = 4_096;

export function createProcessLimiter(clock: Clock): Limiter {
  const buckets = new Map<string, { bucket: Bucket; rate: number }>();
  let sweepAbove = SWEEP_ABOVE;
  const sweep = (nowMs: number): void => {
    for (const [keyId, { bucket, rate }] of buckets) {
      if (take(bucket, rate, 0, nowMs).fullInMs === 0) buckets.delete(keyId);
    }
    sweepAbove = Math.max(SWEEP_ABOVE, buckets.size * 2);
  };
  return {
    take(keyId, ratePerSecond, events) {
      const nowMs = clock.monotonicMs();
      let entry = buckets.get(keyId);
      if (!entry || entry.rate !== ratePerSecond) {
        if (buckets.size >= sweepAbove) sweep(nowMs);
        entry = { bucket: newBucket(ratePerSecond, nowMs), rate: ratePerSecond };
        buckets.set(keyId, entry);
      }
      const grant = take(entry.bucket, ratePerSecond, events, nowMs);
      return {
        ok: grant.ok,
        limit: ratePerSecond * BURST_FACTOR,
        remaining: grant.remaining,
        resetAtS: Math.ceil((clock.now() + grant.fullInMs) / 1_000),
        retryAfterS: grant.ok ? 0 : Math.max(1, Math.ceil(grant.retryInMs / 1_000)),
      };
    },
  };
}

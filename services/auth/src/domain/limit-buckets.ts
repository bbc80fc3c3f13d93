/**
 * Token buckets of one limit lane, as its owner keeps them: rate and size come with every question, so nothing is configured here. A bucket
 * nobody knows is full, which is also what an owner starts with. Pure; bounded: the least recently used go first. Tests: limit-buckets.test.ts.
 */
import type { GrantAnswer, GrantRequest } from "@headwater/protocol";

interface Bucket {
  tokens: number;
  atMs: number;
  usedMs: number;
}

/** The order of least use is kept to this exactness: a key that is deleted and set at every use makes its own insertion slow. */
const REORDER_MS = 1_000;

export class LimitBuckets {
  readonly #maxKeys: number;
  /** Least recently used first, to the second. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(maxKeys = 20_000) {
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whole tokens only, at most what is wanted. @returns in the order asked. */
  grant({ grants }: GrantRequest, nowMs: number): GrantAnswer {
    return { grants: grants.map((wish) => this.#grantOne(wish, nowMs)) };
  }

  #grantOne({ key, rate, burst, want }: GrantRequest["grants"][number], nowMs: number): GrantAnswer["grants"][number] {
    const known = this.#buckets.get(key);
    const bucket = known ?? { tokens: burst, atMs: nowMs, usedMs: nowMs };
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, nowMs - bucket.atMs) * rate) / 1000);
    bucket.atMs = nowMs;
    const granted = Math.min(Math.floor(bucket.tokens), Math.ceil(want));
    bucket.tokens -= granted;
    if (!known || nowMs - known.usedMs >= REORDER_MS) {
      this.#buckets.delete(key);
      this.#buckets.set(key, bucket);
      bucket.usedMs = nowMs;
    }
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= this.#maxKeys) break;
      this.#buckets.delete(oldest);
    }
    return { granted, retryAfterMs: granted >= want ? 0 : Math.max(1, Math.ceil(((1 - (bucket.tokens % 1)) * 1000) / rate)) };
  }
}

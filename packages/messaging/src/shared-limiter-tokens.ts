/**
 * Token leases of one instance: per key a few tokens in hand, more are asked from the owner of the key's limit lane, all keys of a lane in
 * one question at a time. A key that drains its leases quickly gets bigger ones. A refusal is remembered until the owner expects a token,
 * so a flood that is refused asks nobody. Tests: shared-limiter.test.ts.
 */
import { GrantAnswer, laneOf } from "@headwater/protocol";
import type { Nats } from "./connection.ts";
import { callLane } from "./lane-requests.ts";
import type { OwnerAwayLog } from "./owner-away-log.ts";
import type { SharedLimiterOptions, TokenRate } from "./shared-limiter.ts";

type Taken = { ok: true } | { ok: false; retryAfterMs: number };

interface Bucket {
  key: string;
  lane: number;
  rate: TokenRate;
  usedAt: number;
  /** Tokens in hand until `leaseUntil`. */
  leased: number;
  leaseUntil: number;
  /** Tokens asked for in advance. */
  leaseSize: number;
  grantedAt: number;
  refusedUntil: number;
  waiting: { cost: number; resolve(taken: Taken): void }[];
  /** Stands in while the owner is away. */
  local: { tokens: number; atMs: number } | undefined;
}

interface Lane {
  queue: Set<Bucket>;
  isAsking: boolean;
  /** The owner did not answer: local buckets decide, and it is asked again after this time. */
  isAway: boolean;
  probeAt: number;
}

const LEASE_MS = 1_000;
/** Two leases within this time: the next one is twice as big. */
const QUICK_MS = 250;
const PROBE_EVERY_MS = 500;
/** The order of least use is kept to this exactness. */
const REORDER_MS = 1_000;
const MAX_KEYS = 20_000;
/** So many of the least recently used are looked at for some to forget: in a flood all of them wait. */
const MAX_LOOKS = 8;
const MAX_PER_QUESTION = 256;

export interface TokenClient {
  take(key: string, rate: TokenRate, cost: number): Promise<Taken>;
  stop(): void;
}

export function createTokenClient(
  nats: Nats,
  options: SharedLimiterOptions & { ownerAway: OwnerAwayLog; ask?: (lane: number, payload: unknown) => Promise<unknown> },
): TokenClient {
  const { clock, ownerAway } = options;
  const deadlineMs = options.answerWithinMs ?? 250;
  const ask = options.ask ?? ((lane: number, payload: unknown) => callLane(nats, "limits", lane, "grant", payload, { deadlineMs }));
  /** Least recently used first, to the second. */
  const buckets = new Map<string, Bucket>();
  const lanes = new Map<number, Lane>();
  let isStopped = false;

  const bucketOf = (key: string, rate: TokenRate, now: number): Bucket => {
    const known = buckets.get(key);
    if (known) {
      known.rate = rate;
      // Not at every use: a key that is deleted and set again leaves a mark that its next insertion must pass, until the table is made anew.
      if (now - known.usedAt < REORDER_MS) return known;
      known.usedAt = now;
      buckets.delete(key);
      buckets.set(key, known);
      return known;
    }
    const fresh: Bucket = {
      key, rate, usedAt: now, lane: laneOf(key), leased: 0, leaseUntil: 0, leaseSize: 1, grantedAt: Number.NEGATIVE_INFINITY, refusedUntil: 0, waiting: [], local: undefined,
    }; // biome-ignore format: one literal
    buckets.set(key, fresh);
    if (buckets.size > MAX_KEYS) forgetOldest();
    return fresh;
  };
  const forgetOldest = (): void => {
    for (const [key, { waiting }] of first(buckets, MAX_LOOKS)) {
      if (waiting.length === 0) buckets.delete(key);
      if (buckets.size <= MAX_KEYS) return;
    }
  };
  const laneAt = (index: number): Lane => {
    const known = lanes.get(index);
    if (known) return known;
    const fresh: Lane = { queue: new Set(), isAsking: false, isAway: false, probeAt: 0 };
    lanes.set(index, fresh);
    return fresh;
  };
  const enqueue = (bucket: Bucket): void => {
    const lane = laneAt(bucket.lane);
    lane.queue.add(bucket);
    if (!lane.isAsking && !isStopped) void run(bucket.lane, lane);
  };

  async function run(index: number, lane: Lane): Promise<void> {
    lane.isAsking = true;
    while (lane.queue.size > 0 && !isStopped) {
      const batch = first(lane.queue, MAX_PER_QUESTION);
      const wants = batch.map((bucket) => {
        lane.queue.delete(bucket);
        return wantOf(bucket, clock.monotonicMs());
      });
      try {
        const grants = batch.map(({ key, rate }, i) => ({ key, rate: rate.rate, burst: rate.burst, want: wants[i] ?? 1 }));
        const answer = GrantAnswer.parse(await ask(index, { grants }));
        lane.isAway = false;
        for (const [i, bucket] of batch.entries()) {
          const grant = answer.grants[i];
          if (grant) granted(bucket, wants[i] ?? 1, grant);
        }
      } catch (error) {
        ownerAway(index, error);
        lane.isAway = true;
        lane.probeAt = clock.monotonicMs() + PROBE_EVERY_MS;
        for (const bucket of batch) settleLocally(bucket);
      }
    }
    lane.isAsking = false;
  }

  const granted = (bucket: Bucket, want: number, grant: { granted: number; retryAfterMs: number }): void => {
    const now = clock.monotonicMs();
    bucket.local = undefined;
    bucket.leased = inHand(bucket, now) + grant.granted;
    bucket.leaseUntil = now + LEASE_MS;
    const largest = Math.max(1, Math.min(bucket.rate.burst / 10, bucket.rate.rate / 4));
    bucket.leaseSize = Math.max(1, Math.min(largest, now - bucket.grantedAt < QUICK_MS ? bucket.leaseSize * 2 : bucket.leaseSize / 2));
    bucket.grantedAt = now;
    if (grant.granted < want) bucket.refusedUntil = now + Math.max(1, grant.retryAfterMs);
    for (let next = bucket.waiting[0]; next && next.cost <= bucket.leased; next = bucket.waiting[0]) {
      bucket.waiting.shift();
      bucket.leased -= next.cost;
      next.resolve({ ok: true });
    }
    if (bucket.waiting.length === 0) return;
    if (bucket.refusedUntil <= now) return enqueue(bucket);
    for (const waiter of bucket.waiting.splice(0)) waiter.resolve({ ok: false, retryAfterMs: bucket.refusedUntil - now });
  };

  const takeLocally = (bucket: Bucket, cost: number): Taken => {
    const now = clock.monotonicMs();
    const { rate, burst } = bucket.rate;
    bucket.local ??= { tokens: burst, atMs: now };
    bucket.local.tokens = Math.min(burst, bucket.local.tokens + ((now - bucket.local.atMs) * rate) / 1000);
    bucket.local.atMs = now;
    if (bucket.local.tokens < cost) return { ok: false, retryAfterMs: Math.ceil(((cost - bucket.local.tokens) * 1000) / rate) };
    bucket.local.tokens -= cost;
    return { ok: true };
  };
  const settleLocally = (bucket: Bucket): void => {
    for (const { cost, resolve } of bucket.waiting.splice(0)) resolve(takeLocally(bucket, cost));
  };

  return {
    async take(key, rate, cost) {
      if (cost > rate.burst) throw new RangeError(`${cost} tokens of a bucket of ${rate.burst}`);
      const now = clock.monotonicMs();
      const bucket = bucketOf(key, rate, now);
      if (bucket.waiting.length === 0 && inHand(bucket, now) >= cost) {
        bucket.leased -= cost;
        return { ok: true };
      }
      if (now < bucket.refusedUntil) return { ok: false, retryAfterMs: bucket.refusedUntil - now };
      const lane = laneAt(bucket.lane);
      if (lane.isAway || isStopped) {
        if (now >= lane.probeAt) enqueue(bucket);
        return takeLocally(bucket, cost);
      }
      const waitingFor = bucket.waiting.reduce((sum, waiter) => sum + waiter.cost, cost);
      // More than a full bucket cannot be granted now, whoever answers.
      if (waitingFor > rate.burst) return { ok: false, retryAfterMs: Math.ceil(((waitingFor - rate.burst) * 1000) / rate.rate) };
      return new Promise((resolve) => {
        bucket.waiting.push({ cost, resolve });
        enqueue(bucket);
      });
    },
    stop() {
      isStopped = true;
      for (const bucket of buckets.values()) settleLocally(bucket);
    },
  };
}

function inHand(bucket: Bucket, now: number): number {
  return now < bucket.leaseUntil ? bucket.leased : 0;
}

function wantOf(bucket: Bucket, now: number): number {
  const needed = bucket.waiting.reduce((sum, { cost }) => sum + cost, 0) - inHand(bucket, now);
  return Math.min(bucket.rate.burst, Math.max(needed, bucket.leaseSize));
}

function first<T>(items: Iterable<T>, count: number): T[] {
  const found: T[] = [];
  for (const item of items) if (found.push(item) >= count) break;
  return found;
}

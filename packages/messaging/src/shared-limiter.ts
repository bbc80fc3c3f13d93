/**
 * Limits that all instances share: requests a second (`take`) and things held at the same time (`hold`). The owner of the key's limit lane
 * in auth holds the account; this side takes small leases from it, so that most calls need no question. When no owner answers within
 * 250 ms, a local bucket of the same size decides: each instance may then let through its own burst and rate. Tests: shared-limiter.test.ts.
 */
import type { Clock, Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { createOwnerAwayLog } from "./owner-away-log.ts";
import { createHoldClient } from "./shared-limiter-holds.ts";
import { createTokenClient } from "./shared-limiter-tokens.ts";

/** `rate` tokens a second, up to `burst` at once. */
export interface TokenRate {
  rate: number;
  burst: number;
}

export interface SharedLimiter {
  /** @param key at most 200 characters, no secrets: it is seen in taps. */
  take(key: string, rate: TokenRate, cost?: number): Promise<{ ok: true } | { ok: false; retryAfterMs: number }>;
  /** One of `limit` slots until `release` (idempotent). Refused: `current` is how many are held, as far as is known. */
  hold(key: string, limit: number): Promise<{ ok: true; release(): void } | { ok: false; limit: number; current: number }>;
  stop(): void;
}

export interface SharedLimiterOptions {
  instanceId: string;
  clock: Clock;
  log: Logger;
  /** How long the owner of a lane may take before the local bucket decides. Default 250. */
  answerWithinMs?: number;
}

export function createSharedLimiter(nats: Nats, options: SharedLimiterOptions): SharedLimiter {
  const ownerAway = createOwnerAwayLog(options);
  const tokens = createTokenClient(nats, { ...options, ownerAway });
  const holds = createHoldClient(nats, { ...options, ownerAway });
  return {
    take: (key, rate, cost = 1) => tokens.take(key, rate, cost),
    hold: (key, limit) => holds.hold(key, limit),
    stop() {
      tokens.stop();
      holds.stop();
    },
  };
}

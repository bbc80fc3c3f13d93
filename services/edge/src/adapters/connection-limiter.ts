/**
 * How many sockets a tenant may hold. Per process here; a cluster-wide one (leases granted by auth) has the same interface.
 * A socket that was told its duration ends may be replaced before it closes: one extra slot for a while. Tests: limits.test.ts.
 */

export type SlotResult = { ok: true; release(): void } | { ok: false; limit: number; current: number };

export interface ConnectionLimiter {
  acquire(tenantId: string, limit: number): SlotResult;
  /** One slot over the limit for `forMs`. */
  grantExtra(tenantId: string, forMs: number): void;
}

interface Holding {
  current: number;
  /** Monotonic ms at which each extra slot ends. */
  extras: number[];
}

export function createProcessLimiter(monotonicMs: () => number): ConnectionLimiter {
  const tenants = new Map<string, Holding>();
  const holdingOf = (tenantId: string): Holding => {
    const holding = tenants.get(tenantId) ?? { current: 0, extras: [] };
    tenants.set(tenantId, holding);
    const now = monotonicMs();
    holding.extras = holding.extras.filter((endsAt) => endsAt > now);
    return holding;
  };
  const forgetIfEmpty = (tenantId: string, holding: Holding): void => {
    if (holding.current === 0) tenants.delete(tenantId);
  };
  return {
    acquire(tenantId, limit) {
      const holding = holdingOf(tenantId);
      if (holding.current >= limit + holding.extras.length) {
        const { current } = holding;
        forgetIfEmpty(tenantId, holding);
        return { ok: false, limit, current };
      }
      holding.current++;
      let isHeld = true;
      return {
        ok: true,
        release() {
          if (!isHeld) return;
          isHeld = false;
          holding.current--;
          forgetIfEmpty(tenantId, holding);
        },
      };
    },
    grantExtra(tenantId, forMs) {
      holdingOf(tenantId).extras.push(monotonicMs() + forMs);
    },
  };
}

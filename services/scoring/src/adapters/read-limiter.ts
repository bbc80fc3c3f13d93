/**
 * Shortest interval between two reads of one visitor, for plans without real-time polling. Per process, bounded: when it is full
 * the oldest entries are forgotten, which only makes it more lenient. Tests: read-limiter.test.ts.
 */
export interface ReadLimiter {
  /** @returns 0 when the read may happen now, else the ms until it may. */
  waitMs(key: string, intervalMs: number, nowMs: number): number;
}

export function createReadLimiter(maxEntries = 50_000): ReadLimiter {
  const lastRead = new Map<string, number>();
  return {
    waitMs(key, intervalMs, nowMs) {
      if (intervalMs <= 0) return 0;
      const last = lastRead.get(key);
      if (last !== undefined && nowMs - last < intervalMs) return intervalMs - (nowMs - last);
      lastRead.delete(key);
      lastRead.set(key, nowMs);
      if (lastRead.size > maxEntries) {
        const oldest = lastRead.keys().next();
        if (!oldest.done) lastRead.delete(oldest.value);
      }
      return 0;
    },
  };
}

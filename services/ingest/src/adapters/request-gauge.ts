/** Counts the requests being answered, and tells when there are none. Tests: small-adapters.test.ts. */
import type { InFlight } from "./http-routes.ts";

export interface RequestGauge extends InFlight {
  count(): number;
  /** Resolves as soon as no request is being answered; rejects after `withinMs` when that is given. */
  idle(withinMs?: number): Promise<void>;
}

export function createRequestGauge(): RequestGauge {
  let count = 0;
  const waiting = new Set<() => void>();
  return {
    begin() {
      count++;
    },
    end() {
      count--;
      if (count > 0) return;
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
    count: () => count,
    idle(withinMs) {
      if (count === 0) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const timer =
          withinMs === undefined
            ? undefined
            : setTimeout(() => {
                waiting.delete(done);
                reject(new Error(`${count} requests are still being answered after ${withinMs} ms`));
              }, withinMs);
        const done = (): void => {
          clearTimeout(timer);
          resolve();
        };
        waiting.add(done);
      });
    },
  };
}

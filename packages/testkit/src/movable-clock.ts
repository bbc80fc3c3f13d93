/** System time that a test can put forward: what takes minutes is due at once, and a busy machine makes nothing due by itself. */
export interface MovableClock {
  now(): number;
  monotonicMs(): number;
  advance(ms: number): void;
}

export function movableClock(): MovableClock {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    monotonicMs: () => performance.now() + offset,
    advance(ms) {
      offset += ms;
    },
  };
}

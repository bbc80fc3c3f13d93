/** Time as a dependency: services get a Clock, pure code gets numbers. */
export interface Clock {
  /** Wall clock, ms since epoch. */
  now(): number;
  /** Never jumps; for leases, timeouts and durations. ms, arbitrary origin. */
  monotonicMs(): number;
}

export const systemClock: Clock = { now: () => Date.now(), monotonicMs: () => performance.now() };

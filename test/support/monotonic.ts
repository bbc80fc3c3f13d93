/**
 * One clock for every process of a run: CLOCK_MONOTONIC is shared by all processes of a Linux host, so a due time written by a
 * generator can be subtracted in a sink. Pure read of the clock; used by test/bench and test/fault.
 */

/** Microseconds since boot. */
export function nowUs(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1e3;
}

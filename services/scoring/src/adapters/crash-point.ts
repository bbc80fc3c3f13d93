/** Fault tests only: the process ends itself the hard way at a named point of the lane engine, as often passed as asked for. */
import type { LaneOptions } from "@headwater/lanes";

export function crashAt(crash: { at: string; after: number }): NonNullable<LaneOptions["onCrashPoint"]> {
  let passed = 0;
  return (point) => {
    if (point !== crash.at || passed++ < crash.after) return;
    // Not an exit: nothing may be flushed, closed or finished.
    process.kill(process.pid, "SIGKILL");
  };
}

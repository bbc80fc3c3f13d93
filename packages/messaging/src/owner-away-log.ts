/**
 * Tells that the owner of a limit lane did not answer: what happened, without a stack, because it is no fault of the code; at most once per lane
 * and 10 s, because a start or a take-over makes every lane ask in vain for a while. Tests: shared-limiter.test.ts.
 */
import type { Clock, Logger } from "@headwater/runtime";

export type OwnerAwayLog = (lane: number, error: unknown) => void;

const TELL_EVERY_MS = 10_000;

export function createOwnerAwayLog({ clock, log }: { clock: Clock; log: Logger }): OwnerAwayLog {
  const toldAt = new Map<number, number>();
  return (lane, error) => {
    const now = clock.monotonicMs();
    if (now - (toldAt.get(lane) ?? Number.NEGATIVE_INFINITY) < TELL_EVERY_MS) return;
    toldAt.set(lane, now);
    log.warn({ lane, error: error instanceof Error ? error.message : String(error) }, "limits.owner_away");
  };
}

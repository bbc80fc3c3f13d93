/**
 * Turns for stored messages. Every message costs the broker a write to disk, however small it is, so when many lanes have something to
 * send each waits for its turn and its message fills meanwhile. Below the rate nobody waits. Tests: message-pace.test.ts.
 */

export interface MessagePaceOptions {
  /** Messages a second above which turns are spaced out. */
  perSecond: number;
  /** Messages that may go at once after a quiet spell. */
  burst: number;
  /** Monotonic milliseconds; replaced in tests. */
  nowMs?: () => number;
}

export interface MessagePace {
  /** Takes the next turn. Undefined: it is now; otherwise a promise that resolves when it comes, in the order of the calls. */
  turn(): Promise<void> | undefined;
}

export function createMessagePace(options: MessagePaceOptions): MessagePace {
  const nowMs = options.nowMs ?? (() => performance.now());
  const gapMs = 1_000 / options.perSecond;
  const burstMs = (options.burst - 1) * gapMs;
  /** When the next turn is due if everybody had kept to the rate. */
  let due = Number.NEGATIVE_INFINITY;
  return {
    turn() {
      const now = nowMs();
      due = Math.max(due, now - burstMs);
      const waitMs = due - now;
      due += gapMs;
      return waitMs <= 0 ? undefined : new Promise((resolve) => setTimeout(resolve, waitMs));
    },
  };
}

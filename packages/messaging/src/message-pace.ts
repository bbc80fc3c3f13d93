/**
 * Turns for stored messages. Every message costs the broker a write to disk, however small it is, so when many lanes have something to
 * send each waits for its turn and its message fills meanwhile. Below the rate nobody waits. Events may count too: the more of them come, the
 * fewer messages there are a second, because the processor has to do for both. Tests: message-pace.test.ts.
 */

export interface MessagePaceOptions {
  /** Messages a second above which turns are spaced out. */
  perSecond: number;
  /** Messages that may go at once after a quiet spell. */
  burst: number;
  /** What the events of a message add to the pause behind it. Default: nothing. */
  events?: EventPace;
  /** Monotonic milliseconds; replaced in tests. */
  nowMs?: () => number;
}

export interface EventPace {
  /** Pause for each event, ms. */
  eachMs: number;
  /** For all events of one message together, ms: however many come, the rate of messages falls no lower than this makes it. */
  atMostMs: number;
}

export interface MessagePace {
  /** Takes the next turn. Undefined: it is now; otherwise a promise that resolves when it comes, in the order of the calls. */
  turn(): Promise<void> | undefined;
  /** The message of the turn holds so many events. */
  filled(events: number): void;
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
    filled(events) {
      if (options.events !== undefined) due += Math.min(events * options.events.eachMs, options.events.atMostMs);
    },
  };
}

/** How far a lane is and who waits for it; survives restarts of the lane's session. Tests: lane-progress.test.ts. */
import { OwnershipLost } from "./types.ts";

interface Waiter {
  seq: number;
  resolve(): void;
  reject(error: Error): void;
}

export class LaneProgress {
  /** Whole messages folded; outputs of the last ones may not be stored yet. */
  folded = 0;
  events = 0;
  deadLetters = 0;
  /** Input sequences that were needed and no longer stored. */
  lostInputs = 0;
  #confirmed = 0;
  #hasEnded = false;
  readonly #waiters = new Set<Waiter>();

  /** Whole messages whose outputs are stored. */
  get confirmed(): number {
    return this.#confirmed;
  }
  get isBehind(): boolean {
    return this.folded > this.#confirmed;
  }
  /** Somebody waits for a position: do not hold it back. */
  get isAwaited(): boolean {
    return this.#waiters.size > 0;
  }

  /** A session starts from here; waiters stay. */
  startAt(seq: number): void {
    this.folded = seq;
    this.confirm(seq);
  }

  confirm(seq: number): void {
    this.#confirmed = seq;
    for (const waiter of this.#waiters) if (waiter.seq <= seq) waiter.resolve();
  }

  /** Resolves when message `seq` is confirmed. Rejects after `withinMs`, or with OwnershipLost when the lane leaves. */
  reached(seq: number, withinMs: number): Promise<void> {
    if (this.#confirmed >= seq) return Promise.resolve();
    if (this.#hasEnded) return Promise.reject(new OwnershipLost("the lane moved"));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        act();
      };
      const late = (): void => reject(new Error(`the lane is at ${this.#confirmed}, ${seq} was not reached in ${withinMs} ms`));
      const timer = setTimeout(() => settle(late), withinMs);
      const waiter: Waiter = { seq, resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) };
      this.#waiters.add(waiter);
    });
  }

  end(): void {
    this.#hasEnded = true;
    for (const waiter of this.#waiters) waiter.reject(new OwnershipLost("the lane moved"));
  }
}

/**
 * How much of one upstream is read: messages and bytes a second, and when to stop reading at all. A frame over the budget costs two
 * comparisons; when too many of them come, the socket is paused, so that TCP slows the sender down. Pure; time is an argument.
 * Tests: upstream-policy.test.ts.
 */

export interface BudgetRates {
  messagesPerSecond: number;
  bytesPerSecond: number;
}

export type BudgetAnswer = "take" | "drop" | "drop_and_pause";

/** Dropped messages per message of the rate within one window before reading stops. */
const DROPS_PER_RATE = 1;
const WINDOW_MS = 1_000;
/** What one huge batch costs its feed at most: the limits hold over this time, and a feed is not silent for longer. */
const MAX_DEBT_SECONDS = 60;

export class FeedBudget {
  #rates: BudgetRates;
  #messages: number;
  #bytes: number;
  #at: number;
  #windowStart: number;
  #dropsInWindow = 0;

  /** Starts with a full bucket: one second's worth. */
  constructor(rates: BudgetRates, now: number) {
    this.#rates = rates;
    this.#messages = rates.messagesPerSecond;
    this.#bytes = rates.bytesPerSecond;
    this.#at = now;
    this.#windowStart = now;
  }

  setRates(rates: BudgetRates): void {
    this.#rates = rates;
  }

  /** A frame of `bytes`. A large one passes when there is any room, and is paid back: a bucket may go below zero. */
  take(bytes: number, now: number): BudgetAnswer {
    this.#refill(now);
    if (this.#messages >= 1 && this.#bytes > 0) {
      this.#messages--;
      this.#bytes -= bytes;
      return "take";
    }
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#dropsInWindow = 0;
    }
    this.#dropsInWindow++;
    return this.#dropsInWindow > this.#rates.messagesPerSecond * DROPS_PER_RATE ? "drop_and_pause" : "drop";
  }

  /** More than was known when it was taken: what a compressed frame unpacked to, the other elements of a batch. */
  charge(bytes: number, messages = 0): void {
    this.#bytes -= bytes;
    this.#messages = Math.max(this.#messages - messages, -MAX_DEBT_SECONDS * this.#rates.messagesPerSecond);
  }

  /** How long to stop reading after `drop_and_pause`, ms. */
  pauseMs(now: number): number {
    return Math.max(50, WINDOW_MS - (now - this.#windowStart));
  }

  #refill(now: number): void {
    const seconds = Math.max(0, now - this.#at) / 1_000;
    this.#at = now;
    const { messagesPerSecond, bytesPerSecond } = this.#rates;
    this.#messages = Math.min(messagesPerSecond, this.#messages + seconds * messagesPerSecond);
    this.#bytes = Math.min(bytesPerSecond, this.#bytes + seconds * bytesPerSecond);
  }
}

/**
 * Lines of `feeds.<lane>`: numbered per feed and epoch, in order, the newest dropped and counted when the queue is full or the log away. One
 * feed cannot take the whole queue of its lane. Tests: feed-log.test.ts.
 */
import { encodeFeedLine, type FeedState, laneOf, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { AppendError, type GroupCommit } from "@headwater/messaging";
import type { FeedBudget } from "../domain/upstream-budget.ts";
import type { DropReason, UpstreamMessage } from "../domain/upstream-message.ts";

/** One feed under one epoch. Lives as long as the epoch does, because line numbers must not start again. */
export class FeedLedger {
  readonly feedId: string;
  readonly lane: number;
  readonly epoch: number;
  /** Number of the last line. */
  n = 0;
  /** Bytes of this feed's messages that wait for the log. */
  pendingBytes = 0;
  dropped: Partial<Record<DropReason, number>> = {};
  /** `dropped` has changed since the last state line. */
  hasNews = false;
  /** Of what its owner pushes; from the first push on. */
  pushBudget: FeedBudget | undefined;

  constructor(feedId: string, epoch: number) {
    this.feedId = feedId;
    this.lane = laneOf(feedId);
    this.epoch = epoch;
  }
}

export interface FeedLogOptions {
  commit: GroupCommit;
  /** Most bytes of one feed that may wait. */
  maxPendingBytesPerFeed: number;
  onDropped(reason: DropReason, count: number): void;
}

/** JSON escapes can make a text longer; what routing and edges make of a line must still fit a message of NATS. */
const MAX_LINE_BYTES = MAX_UPSTREAM_MESSAGE_BYTES + 512 * 1024;

export class FeedLog {
  readonly #options: FeedLogOptions;

  constructor(options: FeedLogOptions) {
    this.#options = options;
  }

  /** Appends or counts a drop; never waits. @param ts receive time, ms */
  message(ledger: FeedLedger, message: UpstreamMessage, ts: number): void {
    const line = this.#line(ledger, message, ts);
    if (line === undefined) return this.drop(ledger, "size");
    const bytes = Buffer.byteLength(line);
    const room = this.#options.commit.admit(bytes, [ledger.lane]);
    const isOver = ledger.pendingBytes + bytes > this.#options.maxPendingBytesPerFeed;
    if (room !== "ok" || isOver) return this.drop(ledger, room === "down" ? "log_away" : "log_full");
    ledger.n++;
    ledger.pendingBytes += bytes;
    this.#options.commit.append(ledger.lane, line).then(
      () => void (ledger.pendingBytes -= bytes),
      (error: unknown) => {
        ledger.pendingBytes -= bytes;
        this.drop(ledger, error instanceof AppendError && error.code === "backpressure" ? "log_full" : "log_away");
      },
    );
  }

  /** A message from the feed's owner. Resolves when it is stored. Rejects with AppendError; RangeError when it is too large. */
  async push(ledger: FeedLedger, json: string, ts: number, eventName: string | undefined): Promise<void> {
    const line = this.#line(ledger, { kind: "json", text: json }, ts, eventName);
    if (line === undefined) throw new RangeError("the message is too large");
    ledger.n++;
    await this.#options.commit.append(ledger.lane, line);
  }

  /** True when stored. A state that was not stored is told again by its feed. */
  async state(ledger: FeedLedger, state: FeedState, ts: number): Promise<boolean> {
    ledger.hasNews = false;
    const dropped = Object.keys(ledger.dropped).length === 0 ? {} : { dropped: { ...ledger.dropped } };
    const { feedId, epoch } = ledger;
    const line = encodeFeedLine({ feedId, epoch, n: ledger.n + 1, ts, kind: "state", state: { ...state, ...dropped } });
    if (this.#options.commit.admit(Buffer.byteLength(line), [ledger.lane]) !== "ok") return false;
    ledger.n++;
    try {
      await this.#options.commit.append(ledger.lane, line);
      return true;
    } catch (error) {
      if (error instanceof AppendError) return false;
      throw error;
    }
  }

  drop(ledger: FeedLedger, reason: DropReason, count = 1): void {
    ledger.dropped[reason] = (ledger.dropped[reason] ?? 0) + count;
    ledger.hasNews = true;
    this.#options.onDropped(reason, count);
  }

  #line(ledger: FeedLedger, { kind, text }: UpstreamMessage, ts: number, eventName?: string): string | undefined {
    const header = { feedId: ledger.feedId, epoch: ledger.epoch, n: ledger.n + 1, ts, ...(eventName === undefined ? {} : { eventName }) };
    const line = encodeFeedLine(kind === "json" ? { ...header, kind, json: text } : { ...header, kind, text });
    return line.length * 3 > MAX_LINE_BYTES && Buffer.byteLength(line) > MAX_LINE_BYTES ? undefined : line;
  }
}

/**
 * One feed that wants its upstream: connects, reads within its budget, reconnects for ever with growing pauses, tells its state into the log.
 * Exists only while this instance owns the feed's lane and the feed is wanted. Tests: upstream-feed.int.test.ts.
 */
import type { FeedRecord, FeedSecrets, FeedState, FeedStatus } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { type BudgetRates, FeedBudget } from "../domain/upstream-budget.ts";
import { type DropReason, messagesIn } from "../domain/upstream-message.ts";
import { backoffMs, connectionKey, STABLE_MS } from "../domain/upstream-policy.ts";
import type { Connection, ConnectionSpec, Connector } from "../adapters/upstreams/connector.ts";
import type { FeedLedger, FeedLog } from "./feed-log.ts";
import { createFrameDecoder, type FrameDecoder } from "../adapters/upstreams/frame-decoder.ts";
import type { UpstreamTelemetry } from "./upstream-telemetry.ts";

export interface UpstreamFeedDeps {
  feedLog: FeedLog;
  connectorOf(spec: ConnectionSpec): Connector;
  /** @throws CannotUnseal */
  secretsOf(record: FeedRecord): FeedSecrets;
  /** Newest record; undefined = deleted. */
  recordOf(feedId: string): FeedRecord | undefined;
  ratesOf(record: FeedRecord): BudgetRates;
  clock: Clock;
  /** In [0, 1). */
  chance(): number;
  telemetry: UpstreamTelemetry;
  log: Logger;
}

/** Drops are told at most this often. */
const TELL_DROPS_MS = 1_000;

export class UpstreamFeed {
  readonly id: string;
  readonly #deps: UpstreamFeedDeps;
  readonly #ledger: FeedLedger;
  readonly #budget: FeedBudget;
  #state: FeedState = { status: "connecting" };
  /** The newest state is in the log, or on its way. */
  #isTold = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  #key = "";
  #connector: Connector | undefined;
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resumeTimer: NodeJS.Timeout | undefined;
  #openedAt: number | undefined;
  #failures = 0;
  /** Counts beginnings, so that one that waits knows whether it is still meant. */
  #turn = 0;
  #isStopped = false;

  /** @param after the end of an earlier connection of this feed: two at once are never seen */
  constructor(record: FeedRecord, ledger: FeedLedger, deps: UpstreamFeedDeps, after?: Promise<void>) {
    this.id = record.id;
    this.#deps = deps;
    this.#ledger = ledger;
    this.#budget = new FeedBudget(deps.ratesOf(record), deps.clock.monotonicMs());
    this.#tell({ status: "connecting" });
    this.#connectAfter(after);
  }

  get status(): FeedStatus {
    return this.#state.status;
  }

  /** The record or its tenant changed: connects anew when the connection is made of something else now. */
  update(record: FeedRecord): void {
    if (this.#isStopped) return;
    this.#budget.setRates(this.#deps.ratesOf(record));
    if (this.#keyOf(record) === this.#key) return;
    const closed = this.#disconnect();
    this.#failures = 0;
    this.#key = "";
    this.#tell({ status: "connecting" });
    this.#connectAfter(closed);
  }

  /** Called a few times a second: tells drops, and a state that could not be told. */
  tick(): void {
    const now = this.#deps.clock.monotonicMs();
    if (this.#isStopped || now - this.#toldAt < TELL_DROPS_MS) return;
    if (this.#ledger.hasNews || !this.#isTold) this.#tell(this.#state);
  }

  /** Ends the connection at once. Resolves when it has ended and the feed's last word, if any, is stored or cannot be. */
  async stop(last?: FeedState): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const closed = this.#disconnect();
    if (last) await this.#deps.feedLog.state(this.#ledger, last, this.#deps.clock.now());
    await closed;
  }

  /** While it waits, another edit may start a wait of its own: only the last one connects. */
  #connectAfter(earlier: Promise<void> | undefined): void {
    const turn = ++this.#turn;
    if (earlier === undefined) return this.#connect();
    void earlier.finally(() => {
      if (turn === this.#turn) this.#connect();
    });
  }

  #connect(): void {
    const record = this.#deps.recordOf(this.id);
    // Gone or switched off: whoever owns this feed is about to stop it.
    if (this.#isStopped || !record?.isActive) return;
    let decoder: FrameDecoder;
    try {
      const key = this.#keyOf(record);
      const spec: ConnectionSpec = { ...record, secrets: this.#deps.secretsOf(record) };
      decoder = createFrameDecoder(spec);
      if (this.#connector === undefined || key !== this.#key) this.#connector = this.#deps.connectorOf(spec);
      this.#key = key;
    } catch (error) {
      // Only an edit of the feed can help.
      this.#key = this.#keyOf(record);
      this.#deps.log.warn({ feedId: this.id, err: error }, "upstreams.unusable");
      return this.#tell({ status: "error", error: textOf(error) });
    }
    this.#deps.telemetry.attempted();
    // Events of an earlier connection never reach a later one: each has its own closure.
    let isCurrent = true;
    const connection = this.#connector.open({
      onOpen: () => isCurrent && this.#opened(),
      onFrame: (data, isBinary) => isCurrent && this.#received(decoder, data, isBinary),
      onDropped: (reason) => isCurrent && this.#drop(reason),
      onNoise: () => isCurrent && this.#take(0),
      onEnd: (error, isFault) => {
        if (!isCurrent) return;
        isCurrent = false;
        this.#ended(error, isFault === true);
      },
    });
    this.#connection = {
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      close: () => {
        isCurrent = false;
        return connection.close();
      },
    };
  }

  #opened(): void {
    this.#openedAt = this.#deps.clock.monotonicMs();
    this.#deps.telemetry.connected();
    this.#tell({ status: "connected" });
  }

  #ended(error: string, isFault: boolean): void {
    const record = this.#deps.recordOf(this.id);
    const wasOpen = this.#openedAt;
    this.#forget();
    if (wasOpen !== undefined && this.#deps.clock.monotonicMs() - wasOpen >= STABLE_MS) this.#failures = 0;
    this.#failures++;
    this.#deps.telemetry.ended(wasOpen !== undefined);
    if (this.#isStopped || !record) return;
    const { reconnectionEnabled, reconnectionAttempts, reconnectionDelay } = record;
    if (!reconnectionEnabled || (reconnectionAttempts > 0 && this.#failures > reconnectionAttempts)) {
      return this.#tell({ status: "error", error, attempt: this.#failures });
    }
    this.#tell({ status: isFault ? "error" : "reconnecting", error, attempt: this.#failures });
    this.#timer = setTimeout(() => this.#connect(), backoffMs(reconnectionDelay, this.#failures, this.#deps.chance()));
  }

  #received(decoder: FrameDecoder, data: Buffer | string, isBinary: boolean): void {
    const bytes = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    if (!this.#take(bytes)) return this.#drop("rate");
    const { messages, dropped, unpackedBytes } = decoder.decode(data, isBinary);
    if (unpackedBytes > bytes) this.#budget.charge(unpackedBytes - bytes);
    for (const reason of dropped) this.#drop(reason);
    const record = this.#deps.recordOf(this.id);
    const ts = this.#deps.clock.now();
    let count = 0;
    for (const message of messages) {
      // The frame paid for the first.
      if (count > 0 && !this.#take(0)) this.#drop("rate");
      else {
        if (record && message.elements !== undefined) this.#budget.charge(0, messagesIn(message, record) - 1);
        this.#deps.feedLog.message(this.#ledger, message, ts);
      }
      count++;
    }
    this.#deps.telemetry.received(count, bytes);
  }

  #take(bytes: number): boolean {
    const now = this.#deps.clock.monotonicMs();
    const answer = this.#budget.take(bytes, now);
    if (answer === "drop_and_pause" && this.#resumeTimer === undefined && this.#connection) {
      const connection = this.#connection;
      connection.pause();
      this.#deps.telemetry.paused();
      this.#resumeTimer = setTimeout(() => {
        this.#resumeTimer = undefined;
        connection.resume();
      }, this.#budget.pauseMs(now));
    }
    return answer === "take";
  }

  #drop(reason: DropReason): void {
    this.#deps.feedLog.drop(this.#ledger, reason);
  }

  #tell(state: FeedState): void {
    this.#state = state;
    this.#isTold = true;
    this.#toldAt = this.#deps.clock.monotonicMs();
    void this.#deps.feedLog.state(this.#ledger, state, this.#deps.clock.now()).then((isStored) => {
      if (!isStored && this.#state === state) this.#isTold = false;
    });
  }

  #disconnect(): Promise<void> | undefined {
    const closed = this.#connection?.close();
    this.#forget();
    return closed;
  }

  #forget(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#resumeTimer);
    this.#resumeTimer = undefined;
    this.#connection = undefined;
    this.#openedAt = undefined;
  }

  /** A record whose credentials cannot be read is compared by what is readable. */
  #keyOf(record: FeedRecord): string {
    try {
      return connectionKey(record, this.#deps.secretsOf(record));
    } catch {
      return connectionKey(record, { queryParams: [], headers: [], connectionMessage: record.sealed?.ct ?? "" });
    }
  }
}

function textOf(error: unknown): string {
  if (error instanceof Error && error.name === "BadSchema") return error.message;
  return error instanceof Error && error.name === "CannotUnseal" ? "the feed's credentials cannot be read" : "the feed cannot be connected";
}

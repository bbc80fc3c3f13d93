/**
 * What leaves a lane besides frames: side effects, dead letters, counted poison, purged input. Everything here may be repeated.
 * Tests: lanes.int.test.ts.
 */
import { getMessage, type Nats, publishDeadLetter, PublishError, type Publisher, purgeStream, streamState } from "@headwater/messaging";
import { inputStreamName } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { FoldFailure } from "./errors.ts";
import type { Item } from "./fold-engine.ts";
import type { LaneProgress } from "./lane-progress.ts";
import { CorruptSnapshot, type SnapshotStore } from "./snapshot-store.ts";
import { type LaneFamily, type LaneOptions, NewerSnapshot, type SideEffect } from "./types.ts";

export interface OutletDeps {
  nats: Nats;
  publisher: Publisher;
  clock: Clock;
  options: LaneOptions;
}

export class LaneOutlets {
  readonly #family: Pick<LaneFamily<never, never, never>, "input" | "service" | "isInputLossy">;
  readonly #lane: number;
  readonly #deps: OutletDeps;
  readonly #store: SnapshotStore;
  readonly #progress: LaneProgress;
  readonly #log: Logger;
  readonly #mayGoOn: () => boolean;
  #purgeCheckedAt: number;
  #isPurging = false;
  /** The log begins at 1. */
  #forgottenBefore = 1;

  /** @param mayGoOn false when the lane is stopped or lost: nothing is repeated then. */
  constructor(
    family: Pick<LaneFamily<never, never, never>, "input" | "service" | "isInputLossy">,
    lane: number,
    deps: OutletDeps,
    store: SnapshotStore,
    progress: LaneProgress,
    log: Logger,
    mayGoOn: () => boolean,
  ) {
    this.#family = family;
    this.#lane = lane;
    this.#deps = deps;
    this.#store = store;
    this.#progress = progress;
    this.#log = log;
    this.#mayGoOn = mayGoOn;
    // Lanes that start together take turns.
    this.#purgeCheckedAt = deps.clock.monotonicMs() - (lane / deps.options.laneCount) * deps.options.purgeCheckMs;
  }

  get #stream(): string {
    return inputStreamName(this.#family.input, this.#lane);
  }

  async sideEffects(effects: readonly SideEffect[]): Promise<void> {
    const { publisher } = this.#deps;
    await Promise.all(effects.map((one) => this.untilDone(() => publisher.publish(one.subject, one.payload, { msgId: one.msgId }))));
  }

  async badItems(items: readonly Item<unknown>[]): Promise<void> {
    for (const item of items) if (item.kind === "bad") await this.#deadLetter(item.seq, item.index, item.reason, item.raw);
  }

  /** Counts a fold failure across restarts; after `poisonTries` the item goes to the dead letters and is skipped for ever. */
  async poison(failure: FoldFailure): Promise<void> {
    const { seq, index } = failure.at;
    try {
      const tries = await this.#store.countPoison(failure.at, failure.message);
      this.#log.error({ err: failure, seq, index, tries }, "lanes.fold_failed");
      if (tries < this.#deps.options.poisonTries) return;
      await this.#deadLetter(seq, index, failure.message, await this.#rawItem(seq, index));
      await this.#store.skipPoison(failure.at);
    } catch (error) {
      this.#log.error({ err: error, seq, index }, "lanes.poison_not_recorded");
    }
  }

  /**
   * Purges finished input when its stream is nearly full: only unfinished input may make it refuse. A lossy stream makes room by itself. Looks every `purgeCheckMs`, beside the
   * folding, which must not wait for a slow answer.
   */
  purgeInput(safePoint: number): void {
    const now = this.#deps.clock.monotonicMs();
    if (this.#isPurging || now - this.#purgeCheckedAt < this.#deps.options.purgeCheckMs) return;
    this.#purgeCheckedAt = now;
    this.#isPurging = true;
    void this.#purge(safePoint).finally(() => {
      this.#isPurging = false;
    });
  }

  async #purge(safePoint: number): Promise<void> {
    const { options, nats } = this.#deps;
    try {
      const state = await streamState(nats, this.#stream);
      if (state.firstSeq > this.#forgottenBefore) {
        await this.#store.forgetHistoryBefore(state.firstSeq);
        this.#forgottenBefore = state.firstSeq;
      }
      if (this.#family.isInputLossy === true || state.bytes < options.purgeAboveShare * state.maxBytes || safePoint < state.firstSeq)
        return;
      const purged = await purgeStream(nats, this.#stream, { seq: safePoint + 1 });
      this.#log.info({ stream: this.#stream, below: safePoint + 1, purged }, "lanes.input_purged");
    } catch (error) {
      this.#log.warn({ err: error }, "lanes.purge_failed");
    }
  }

  /** Repeats something idempotent while a broker or a database is away: the folded state is worth more than a restart. */
  async untilDone<T>(act: () => Promise<T>): Promise<T> {
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 1_000)) {
      try {
        return await act();
      } catch (error) {
        const isFinal =
          error instanceof CorruptSnapshot || error instanceof NewerSnapshot || (error instanceof PublishError && !error.retryable);
        if (isFinal || !this.#mayGoOn()) throw error;
        this.#log.warn({ err: error, waitMs }, "lanes.dependency_retried");
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async #deadLetter(seq: number, index: number, reason: string, data: string): Promise<void> {
    const letter = { reason, origin: { stream: this.#stream, seq, index }, data };
    await this.untilDone(() => publishDeadLetter(this.#deps.publisher, this.#family.service, letter));
    this.#progress.deadLetters++;
    this.#log.warn({ stream: this.#stream, seq, index }, "lanes.dead_letter");
  }

  async #rawItem(seq: number, index: number): Promise<string> {
    const message = await getMessage(this.#deps.nats, this.#stream, seq);
    if (!message) return "";
    const text = new TextDecoder().decode(message.data);
    return text.split("\n")[index] ?? text;
  }
}

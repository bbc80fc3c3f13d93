/** The input side of one lane: reader, bounded queue, decoding, and chunks of whole messages. Tests: lanes.int.test.ts, input-queue.test.ts. */
import { type Nats, openReader, type Reader } from "@headwater/messaging";
import { inputStreamName } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import { type Item, itemsOf } from "./fold-engine.ts";
import { InputQueue } from "./input-queue.ts";
import type { RegistryLog } from "./registry-log.ts";
import type { PoisonItem } from "./snapshot-store.ts";
import type { LaneFamily } from "./types.ts";

/** 16 lanes over one connection stay below the server's limit of 64 MiB per connection. */
const BYTES_IN_FLIGHT = 2_304 * 1024;

type InputFamilyOf<Input> = Pick<LaneFamily<Input, never, never>, "input" | "decode" | "isInputLossy">;

export class LaneInput<Input> {
  readonly stream: string;
  readonly #family: InputFamilyOf<Input>;
  readonly #log: Logger;
  readonly #queue = new InputQueue();
  readonly #skipped: ReadonlySet<string>;
  readonly #reader: Reader;
  #gapTo = 0;

  /** @param onLost told how many inputs are gone for good. */
  constructor(
    nats: Nats,
    family: InputFamilyOf<Input>,
    lane: number,
    fromSeq: number,
    skipped: readonly PoisonItem[],
    log: Logger,
    onLost: (count: number) => void,
  ) {
    this.stream = inputStreamName(family.input, lane);
    this.#family = family;
    this.#log = log;
    this.#skipped = new Set(skipped.map((item) => `${item.seq}/${item.index}`));
    this.#reader = openReader(nats, {
      stream: this.stream,
      from: { seq: fromSeq },
      maxBytesInFlight: BYTES_IN_FLIGHT,
      log,
      onMessage: (message) => this.#queue.push(message),
      onGap: ({ from, to }) => {
        // Not fatal: the inputs are gone for good, and refusing to run would not bring them back. Loud, unless the stream may drop them.
        if (family.isInputLossy === true) this.#log.debug({ from, to }, "lanes.input_dropped");
        else this.#log.error({ from, to }, "lanes.input_lost");
        onLost(to - from + 1);
        this.#gapTo = Math.max(this.#gapTo, to);
        this.#queue.wake();
      },
    });
  }

  /** Messages not yet taken. */
  get lag(): number {
    return this.#queue.length + this.#queue.pendingBehind;
  }
  /** Messages at hand. */
  get queued(): number {
    return this.#queue.length;
  }
  get nextSeq(): number | undefined {
    return this.#queue.peek()?.seq;
  }

  /** Resolves when a message arrives, `wake` is called, or after `ms`. */
  wait(ms: number): Promise<void> {
    return this.#queue.wait(ms);
  }
  wake(): void {
    this.#queue.wake();
  }

  /** Whole messages up to and including `last`, all with one registry position. */
  takeForReplay(last: number, maxItems: number, registryLog: RegistryLog): { items: Item<Input>[]; reg: number } {
    const items: Item<Input>[] = [];
    let reg: number | undefined;
    for (let next = this.#queue.peek(); next && next.seq <= last && items.length < maxItems; next = this.#queue.peek()) {
      const used = registryLog.at(next.seq);
      if (reg !== undefined && used !== reg) break;
      reg = used;
      this.#queue.shift();
      for (const item of this.#decode(next)) items.push(item);
    }
    return { items, reg: reg ?? 0 };
  }

  /** Whole messages of at most `maxItems` items together, but at least one message when there is one. */
  take(maxItems: number): Item<Input>[] {
    const items: Item<Input>[] = [];
    for (let next = this.#queue.peek(); next && items.length < maxItems; next = this.#queue.peek()) {
      const decoded = this.#decode(next);
      if (items.length > 0 && items.length + decoded.length > maxItems) break;
      this.#queue.shift();
      for (const item of decoded) items.push(item);
    }
    return items;
  }

  /** End of a gap behind `seq` that the reader has passed with nothing behind it yet. */
  gapBehind(seq: number): number | undefined {
    const isPassed = this.#queue.length === 0 && this.#gapTo > seq && this.#reader.position() >= this.#gapTo;
    return isPassed ? this.#gapTo : undefined;
  }

  async close(): Promise<void> {
    // A reader that waits for room must be let go before it can stop.
    this.#queue.clear();
    await this.#reader.stop();
    this.#queue.clear();
  }

  #decode(message: { seq: number; data: Uint8Array }): Item<Input>[] {
    return itemsOf(this.#family, message, (seq, index) => this.#skipped.size > 0 && this.#skipped.has(`${seq}/${index}`));
  }
}

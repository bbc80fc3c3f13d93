/** The hot tail of a stream: the newest frames by sequence, bounded in bytes. Resume reads from here when it can. Tests: fan-out.test.ts. */
import type { LogEntry } from "./log-entry.ts";

const COMPACT_AT = 1_024;

export class FrameRing {
  readonly #maxBytes: number;
  /** Evicted places are emptied at once and cut off now and then. */
  #entries: (LogEntry | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #from = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Every frame from this sequence up to the newest one is here. */
  get from(): number {
    return this.#from;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** Empties it; the next frame pushed will have `nextSeq` or a later sequence. */
  reset(nextSeq: number): void {
    for (const entry of this.#entries) if (entry) entry.onGrow = undefined;
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#from = nextSeq;
  }

  push(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.sizeBytes;
    entry.onGrow = (bytes) => {
      this.#bytes += bytes;
      this.#evict();
    };
    this.#evict();
  }

  firstAtOrAfter(seq: number): LogEntry | undefined {
    return this.#entries[this.#search((entry) => entry.seq >= seq)];
  }

  firstAtOrAfterTime(timeMs: number): LogEntry | undefined {
    return this.#entries[this.#search((entry) => entry.timeMs >= timeMs)];
  }

  get oldest(): LogEntry | undefined {
    return this.#entries[this.#head];
  }

  #search(isAtOrAfter: (entry: LogEntry) => boolean): number {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry && isAtOrAfter(entry)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes && this.length > 1) {
      const entry = this.#entries[this.#head];
      if (!entry) return;
      this.#entries[this.#head] = undefined;
      this.#head++;
      this.#bytes -= entry.sizeBytes;
      this.#from = entry.seq + 1;
      entry.onGrow = undefined;
    }
    if (this.#head > COMPACT_AT && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }
}

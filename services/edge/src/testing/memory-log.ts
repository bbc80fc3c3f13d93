/** A stream in memory with the interface of the real one, for unit tests of hub and resume. Never imported by product code. */
import type { LogMessage, LogReadOptions, StreamLog } from "../ports.ts";
import { type TestOutput, testFrame } from "./test-frame.ts";

interface MemoryReader {
  options: LogReadOptions;
  next: number;
  isBusy: boolean;
  isStopped: boolean;
  caughtUpAt: number;
  caughtUp: () => void;
}

export class MemoryLog implements StreamLog {
  readonly stream = "SIGNALS";
  log = 1;
  messages: LogMessage[] = [];
  firstSeq = 1;
  lastSeq = 0;
  /** Readers opened since the start. */
  reads = 0;
  readonly #readers = new Set<MemoryReader>();
  readonly #reconnect = new Set<() => void>();

  write(outputs: readonly TestOutput[]): number {
    return this.writeRaw(Buffer.from(testFrame(outputs, this.lastSeq + 1)));
  }

  writeRaw(data: Uint8Array): number {
    this.lastSeq++;
    this.messages.push({ seq: this.lastSeq, timeMs: this.lastSeq, data });
    this.#wake();
    return this.lastSeq;
  }

  /** Retention: everything below is gone. */
  purge(below: number): void {
    this.messages = this.messages.filter((msg) => msg.seq >= below);
    this.firstSeq = Math.max(this.firstSeq, below);
  }

  /** The stream was lost and made anew. */
  recreate(): void {
    this.log++;
    this.messages = [];
    this.firstSeq = 1;
    this.lastSeq = 0;
  }

  reconnect(): void {
    for (const listener of this.#reconnect) listener();
  }

  async extent() {
    return { log: this.log, firstSeq: this.firstSeq, lastSeq: this.lastSeq, firstTimeMs: this.messages[0]?.timeMs ?? 0 };
  }

  async firstAtTime(timeMs: number): Promise<number> {
    return this.messages.find((msg) => msg.timeMs >= timeMs)?.seq ?? this.lastSeq + 1;
  }

  onReconnect(listener: () => void): () => void {
    this.#reconnect.add(listener);
    return () => this.#reconnect.delete(listener);
  }

  read(options: LogReadOptions) {
    this.reads++;
    const caughtUp = Promise.withResolvers<void>();
    const reader = { options, next: options.from, isBusy: false, isStopped: false, caughtUpAt: this.lastSeq, caughtUp: caughtUp.resolve };
    this.#readers.add(reader);
    setImmediate(() => this.#wake());
    return {
      caughtUp: caughtUp.promise,
      stop: async () => {
        reader.isStopped = true;
        this.#readers.delete(reader);
        caughtUp.resolve();
      },
    };
  }

  #wake(): void {
    for (const reader of this.#readers) void this.#feed(reader);
  }

  async #feed(reader: MemoryReader): Promise<void> {
    if (reader.isBusy) return;
    reader.isBusy = true;
    while (!reader.isStopped) {
      const msg = this.messages.find((candidate) => candidate.seq >= reader.next);
      if (!msg) break;
      if (msg.seq > reader.next) reader.options.onGap({ from: reader.next, to: msg.seq - 1 });
      reader.next = msg.seq + 1;
      await reader.options.onMessage(msg);
    }
    reader.isBusy = false;
    if (reader.next > reader.caughtUpAt || this.messages.length === 0) reader.caughtUp();
  }
}

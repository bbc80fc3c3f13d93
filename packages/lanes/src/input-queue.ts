/** Messages between the reader and the loop of one lane: bounded in bytes, one waiter. Tests: input-queue.test.ts. */
import type { ReadMessage } from "@headwater/messaging";

const HIGH_BYTES = 2 * 1024 * 1024;
const LOW_BYTES = 1024 * 1024;

export class InputQueue {
  #messages: ReadMessage[] = [];
  #head = 0;
  #bytes = 0;
  #wake: (() => void) | undefined;
  #room: { promise: Promise<void>; resolve: () => void } | undefined;
  /** Messages still in the stream behind the newest one queued. */
  pendingBehind = 0;

  /** A promise when the queue is full: the reader waits for it. */
  push(message: ReadMessage): void | Promise<void> {
    this.#messages.push(message);
    this.#bytes += message.data.length;
    this.pendingBehind = message.pending;
    this.wake();
    if (this.#bytes <= HIGH_BYTES) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  peek(): ReadMessage | undefined {
    return this.#messages[this.#head];
  }

  shift(): ReadMessage | undefined {
    const message = this.#messages[this.#head];
    if (message === undefined) return undefined;
    this.#head++;
    this.#bytes -= message.data.length;
    if (this.#head > 512 || this.#head === this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
    if (this.#room && this.#bytes <= LOW_BYTES) {
      this.#room.resolve();
      this.#room = undefined;
    }
    return message;
  }

  get length(): number {
    return this.#messages.length - this.#head;
  }

  /** Resolves when something arrives, `wake` is called or after `ms`. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }

  wake(): void {
    this.#wake?.();
  }

  /** Drops everything and lets a waiting reader go. */
  clear(): void {
    this.#messages = [];
    this.#head = 0;
    this.#bytes = 0;
    this.pendingBehind = 0;
    this.#room?.resolve();
    this.#room = undefined;
    this.wake();
  }
}

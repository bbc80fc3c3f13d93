/** Closers in the order of opening, closed in reverse: the drain order of a service comes free. Tests: resource-stack.test.ts. */
export class ResourceStack {
  readonly #closers: (() => Promise<void> | void)[] = [];
  #closing: Promise<void> | undefined;

  /** Registers a closer. After `close()` began it is a programming error and throws. */
  defer(close: () => Promise<void> | void): void {
    if (this.#closing) throw new Error("resource stack is already closing");
    this.#closers.push(close);
  }

  /** Runs every closer once, last first, even when some fail. Throws AggregateError of the failures. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "some resources did not close cleanly");
  }
}

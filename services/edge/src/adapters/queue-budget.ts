/** Bytes queued for all sockets of the process. Above the cap the laggiest sockets are dropped first. Tests: limits.test.ts. */

export interface Queued {
  readonly bufferedBytes: number;
  /** False once it is being closed: it cannot be dropped again, its last bytes go when the socket does. */
  readonly isOpen: boolean;
  /** Ends the socket as a slow consumer and gives its queue back at once. */
  dropSlow(): void;
}

export class QueueBudget {
  readonly #maxBytes: number;
  readonly #backlogged = new Set<Queued>();
  #total = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get totalBytes(): number {
    return this.#total;
  }

  /** At 90 % of the cap new sockets are refused, so that those already open keep what is left. */
  get isNearlyFull(): boolean {
    return this.#total >= this.#maxBytes * 0.9;
  }

  /** Reports that the queue of `socket` changed by `delta` bytes. May drop sockets, also the reporting one. */
  changed(socket: Queued, delta: number): void {
    if (delta === 0) return;
    this.#total += delta;
    if (socket.bufferedBytes > 0 && socket.isOpen) this.#backlogged.add(socket);
    else this.#backlogged.delete(socket);
    while (this.#total > this.#maxBytes) {
      const laggiest = this.#laggiest();
      if (!laggiest) return;
      this.#backlogged.delete(laggiest);
      laggiest.dropSlow();
    }
  }

  #laggiest(): Queued | undefined {
    let found: Queued | undefined;
    for (const socket of this.#backlogged) if (!found || socket.bufferedBytes > found.bufferedBytes) found = socket;
    return found;
  }
}

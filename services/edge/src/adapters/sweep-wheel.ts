/**
 * One timer for all sockets: each is visited once per sweep period, spread over the slots, and checks its deadlines by comparing times.
 * No timer per socket. Tests: limits.test.ts.
 */

export interface Swept {
  sweep(nowMs: number): void;
}

const SLOTS = 20;

export class SweepWheel {
  readonly #slots: Set<Swept>[] = Array.from({ length: SLOTS }, () => new Set());
  readonly #slotOf = new Map<Swept, Set<Swept>>();
  readonly #monotonicMs: () => number;
  readonly #timer: NodeJS.Timeout;
  #cursor = 0;
  #next = 0;

  /** @param periodMs time in which every socket is visited once. */
  constructor(periodMs: number, monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#timer = setInterval(() => this.tick(), Math.max(1, periodMs / SLOTS));
    this.#timer.unref();
  }

  get size(): number {
    return this.#slotOf.size;
  }

  add(item: Swept): void {
    const slot = this.#slots[this.#next];
    this.#next = (this.#next + 1) % SLOTS;
    if (!slot) return;
    slot.add(item);
    this.#slotOf.set(item, slot);
  }

  delete(item: Swept): void {
    this.#slotOf.get(item)?.delete(item);
    this.#slotOf.delete(item);
  }

  /** Visits the next slot. */
  tick(): void {
    const now = this.#monotonicMs();
    const slot = this.#slots[this.#cursor];
    this.#cursor = (this.#cursor + 1) % SLOTS;
    if (slot) for (const item of slot) item.sweep(now);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Entries by due time, earliest first; an entry may be moved or dropped at any time. O(log n). Pure. Tests: schedule.test.ts. */
export interface Due {
  dueAt: number;
  /** Place in the heap; -1: not in it. Only the heap writes it. */
  slot: number;
}

export class DueHeap<E extends Due> {
  readonly #items: E[] = [];

  peek(): E | undefined {
    return this.#items[0];
  }

  /** Adds it, or moves it when its `dueAt` changed. */
  put(entry: E): void {
    if (entry.slot === -1) {
      entry.slot = this.#items.length;
      this.#items.push(entry);
    }
    this.#sink(this.#rise(entry));
  }

  drop(entry: E): void {
    if (entry.slot === -1) return;
    const last = this.#items.pop();
    const slot = entry.slot;
    entry.slot = -1;
    if (last === undefined || last === entry) return;
    last.slot = slot;
    this.#items[slot] = last;
    this.#sink(this.#rise(last));
  }

  #rise(entry: E): E {
    while (entry.slot > 0) {
      const parent = this.#items[(entry.slot - 1) >> 1];
      if (parent === undefined || parent.dueAt <= entry.dueAt) break;
      this.#swap(entry, parent);
    }
    return entry;
  }

  #sink(entry: E): void {
    for (;;) {
      const left = this.#items[entry.slot * 2 + 1];
      const right = this.#items[entry.slot * 2 + 2];
      const child = left !== undefined && right !== undefined && right.dueAt < left.dueAt ? right : left;
      if (child === undefined || child.dueAt >= entry.dueAt) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: E, b: E): void {
    [a.slot, b.slot] = [b.slot, a.slot];
    this.#items[a.slot] = a;
    this.#items[b.slot] = b;
  }
}

/**
 * Compact map from a 64-bit fingerprint to six flags, 13 bytes an entry: the privacy state of millions of visitors in memory.
 * Entries carry the log position they come from, so that an older record never overwrites a newer one. Bounded: when it is full, new
 * entries are refused and the caller decides what that means. Pure. Tests: tables.test.ts.
 */
const MIN_SLOTS = 1024;
const MAX_LOAD = 0.7;
const USED = 0x80;

export class FingerprintTable {
  readonly #maxEntries: number;
  #slots = MIN_SLOTS;
  #size = 0;
  #high = new Uint32Array(MIN_SLOTS);
  #low = new Uint32Array(MIN_SLOTS);
  #seq = new Uint32Array(MIN_SLOTS);
  #flags = new Uint8Array(MIN_SLOTS);

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#maxEntries;
  }

  /** @param key 16 or more hex characters; the first 16 count. @returns 0–63, undefined when absent. */
  get(key: string): number | undefined {
    const slot = this.#find(high(key), low(key));
    const flags = this.#flags[slot] ?? 0;
    return flags & USED ? flags & 0x3f : undefined;
  }

  /** @returns false when there is no room for another entry. A record older than the stored one is ignored and returns true. */
  set(key: string, flags: number, seq: number): boolean {
    const [keyHigh, keyLow] = [high(key), low(key)];
    let slot = this.#find(keyHigh, keyLow);
    if ((this.#flags[slot] ?? 0) & USED) {
      // Positions are kept modulo 2^32; the signed difference says which is newer.
      if ((((seq >>> 0) - (this.#seq[slot] ?? 0)) | 0) < 0) return true;
    } else {
      if (this.isFull) return false;
      if (this.#size + 1 > this.#slots * MAX_LOAD) {
        this.#grow();
        slot = this.#find(keyHigh, keyLow);
      }
      this.#size++;
    }
    this.#high[slot] = keyHigh;
    this.#low[slot] = keyLow;
    this.#seq[slot] = seq;
    this.#flags[slot] = USED | (flags & 0x3f);
    return true;
  }

  /** The slot of the entry, or the free slot where it would go. */
  #find(keyHigh: number, keyLow: number): number {
    const mask = this.#slots - 1;
    let slot = keyLow & mask;
    while ((this.#flags[slot] ?? 0) & USED && !(this.#low[slot] === keyLow && this.#high[slot] === keyHigh)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [oldHigh, oldLow, oldSeq, oldFlags] = [this.#high, this.#low, this.#seq, this.#flags];
    this.#slots *= 2;
    this.#high = new Uint32Array(this.#slots);
    this.#low = new Uint32Array(this.#slots);
    this.#seq = new Uint32Array(this.#slots);
    this.#flags = new Uint8Array(this.#slots);
    for (let i = 0; i < oldFlags.length; i++) {
      if (!((oldFlags[i] ?? 0) & USED)) continue;
      const slot = this.#find(oldHigh[i] ?? 0, oldLow[i] ?? 0);
      this.#high[slot] = oldHigh[i] ?? 0;
      this.#low[slot] = oldLow[i] ?? 0;
      this.#seq[slot] = oldSeq[i] ?? 0;
      this.#flags[slot] = oldFlags[i] ?? 0;
    }
  }
}

function high(key: string): number {
  return Number.parseInt(key.slice(0, 8), 16) >>> 0;
}

function low(key: string): number {
  return Number.parseInt(key.slice(8, 16), 16) >>> 0;
}

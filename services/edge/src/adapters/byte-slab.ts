/**
 * Memory for bytes that are kept. `Buffer.from` and `Buffer.allocUnsafe` cut small buffers out of pools of 8 KiB they share with everybody,
 * and one kept buffer holds its whole pool: a ring of 64 MiB of small frames held 400 MiB. What is kept in order and let go in order
 * belongs into blocks of its own. Tests: byte-slab.test.ts.
 */

const MOST_BLOCK_BYTES = 64 * 1024;
/** From here on bytes get memory of exactly their size: the rest of a block is not thrown away for them. */
const OWN_FROM_BYTES = MOST_BLOCK_BYTES / 8;

export class ByteSlab {
  #blockBytes: number;
  #block: Buffer | undefined;
  #at = 0;

  /** @param firstBlockBytes blocks double from here to 64 KiB, so that whoever keeps little takes little. */
  constructor(firstBlockBytes: number = MOST_BLOCK_BYTES) {
    this.#blockBytes = firstBlockBytes;
  }

  /** A copy that shares its memory with its neighbours in time only. */
  copy(bytes: Uint8Array): Buffer {
    const { length } = bytes;
    if (this.#block === undefined || this.#at + length > this.#block.length) {
      if (length >= OWN_FROM_BYTES) return exactCopy(bytes);
      this.#block = Buffer.allocUnsafeSlow(Math.max(this.#blockBytes, length));
      this.#blockBytes = Math.min(MOST_BLOCK_BYTES, this.#blockBytes * 2);
      this.#at = 0;
    }
    const copy = this.#block.subarray(this.#at, this.#at + length);
    copy.set(bytes);
    this.#at += length;
    return copy;
  }

  /** The same bytes when nearly all memory behind them is theirs, otherwise a copy. */
  keep(bytes: Buffer): Buffer {
    return bytes.buffer.byteLength <= bytes.length + bytes.length / 8 ? bytes : this.copy(bytes);
  }
}

function exactCopy(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

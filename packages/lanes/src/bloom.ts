/** Which keys may have a row in the cold table: no false negatives, few false positives, fixed memory. Tests: bloom.test.ts. */
import { fnv1a32 } from "@headwater/protocol";

const BITS = 1 << 23;
const PROBES = 4;

export class KeyFilter {
  /** 1 MiB, made with the first key: most lanes never spill. */
  #bits: Uint8Array | undefined;

  add(key: string): void {
    this.#bits ??= new Uint8Array(BITS / 8);
    for (const bit of probes(key)) this.#bits[bit >>> 3] = (this.#bits[bit >>> 3] ?? 0) | (1 << (bit & 7));
  }

  mayContain(key: string): boolean {
    const bits = this.#bits;
    if (bits === undefined) return false;
    for (const bit of probes(key)) if (((bits[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
    return true;
  }
}

function probes(key: string): number[] {
  const a = fnv1a32(key);
  // A second hash, odd so that all probes differ.
  const b = Math.imul(a ^ (a >>> 15), 0x2c1b3c6d) | 1;
  const result: number[] = [];
  for (let i = 0; i < PROBES; i++) result.push(((a + Math.imul(i, b)) >>> 0) % BITS);
  return result;
}

/** Nesting of JSON text, counted before it is parsed: nobody needs more, and recursion over it must be safe. Pure. Tests: small-rules.test.ts. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Stops as soon as the answer is known. Text that is not JSON gets some answer; the parser refuses it afterwards. */
export function isDeeperThan(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

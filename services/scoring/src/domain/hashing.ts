/**
 * Non-cryptographic string hashes for bounded state: paths and selectors as numbers, event ids as fixed-width text.
 * A collision merges two paths or selectors (harmless); event ids use 48 bits because a collision there would hide an event.
 * Tests: hashing.test.ts.
 */

/** FNV-1a over UTF-16 code units, unsigned 32 bit. */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/** Characters per packed id. */
export const PACKED_ID_LENGTH = 8;

/** 48-bit hash as eight text characters. */
export function packedId(text: string): string {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x9e3779b1);
    b = Math.imul(b ^ c, 0x5f356495);
  }
  // Cross-mix, so that short ids differing in the last character do not share a half.
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return digits24(a) + digits24(b);
}

function digits24(n: number): string {
  return DIGITS.charAt(n & 63) + DIGITS.charAt((n >>> 6) & 63) + DIGITS.charAt((n >>> 12) & 63) + DIGITS.charAt((n >>> 18) & 63);
}

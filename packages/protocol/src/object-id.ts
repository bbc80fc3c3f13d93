/**
 * Ids of the feeds surface on the wire: 24 lower-case hex characters, 4 bytes of seconds and 8 random bytes. Ids given by a caller are never
 * assumed to have this form: a malformed one is simply unknown. Tests: object-id.test.ts.
 */

/** @param random 8 bytes from a CSPRNG. */
export function objectIdOf(nowMs: number, random: Uint8Array): string {
  if (random.length !== 8) throw new RangeError("an object id needs 8 random bytes");
  const seconds = (Math.floor(nowMs / 1_000) >>> 0).toString(16).padStart(8, "0");
  return seconds + [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function isObjectId(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{24}$/.test(text);
}

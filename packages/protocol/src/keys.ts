/** API key formats per prefix. A surface looks at scopes and plan, never at the prefix. Vectors: vectors/keys.json. */
import { fnv1a32 } from "./lane.ts";

export interface KeyFormat {
  prefix: string;
  /** `checked` keys end in `_` + 8 check characters, so that a typo is refused without a lookup. */
  shape: "plain" | "checked";
}

export const KEY_FORMATS = [
  { prefix: "cs_live_", shape: "plain" },
  { prefix: "cs_test_", shape: "plain" },
  { prefix: "cs_mob_live_", shape: "plain" },
  { prefix: "cs_srv_live_", shape: "plain" },
  { prefix: "ts_live_", shape: "checked" },
  { prefix: "hw_live_", shape: "checked" },
] as const satisfies readonly KeyFormat[];
export type KeyPrefix = (typeof KEY_FORMATS)[number]["prefix"];

export const KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
export const KEY_RANDOM_LENGTH = 32;
const body = /^[A-Za-z0-9]{32}$/;

/** 8 hex characters over prefix and random part. Not a secret: it only catches typos. */
export function keyCheck(prefix: string, random: string): string {
  return fnv1a32(prefix + random)
    .toString(16)
    .padStart(8, "0");
}

/** Puts a key together. `random` must be 32 characters of `KEY_ALPHABET` from a CSPRNG. */
export function formatKey(prefix: KeyPrefix, random: string): string {
  if (!body.test(random)) throw new RangeError("a key needs 32 characters [A-Za-z0-9]");
  const format = KEY_FORMATS.find((f) => f.prefix === prefix);
  return format?.shape === "checked" ? `${prefix}${random}_${keyCheck(prefix, random)}` : prefix + random;
}

/** The prefix of a well-formed key, or undefined. Says nothing about whether the key exists. */
export function keyPrefixOf(key: string): KeyPrefix | undefined {
  // Longest prefix first is not needed: no prefix is the start of another followed by 32 characters of the alphabet.
  for (const format of KEY_FORMATS) {
    if (!key.startsWith(format.prefix)) continue;
    const rest = key.slice(format.prefix.length);
    if (format.shape === "plain") {
      if (body.test(rest)) return format.prefix;
    } else if (
      rest.length === 41 &&
      rest[32] === "_" &&
      body.test(rest.slice(0, 32)) &&
      rest.slice(33) === keyCheck(format.prefix, rest.slice(0, 32))
    ) {
      return format.prefix;
    }
  }
  return undefined;
}

/** Random parts and hashes of keys. Tests: secrets.test.ts. */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { formatKey, KEY_ALPHABET, KEY_RANDOM_LENGTH, type KeyPrefix, objectIdOf } from "@headwater/protocol";

export function newKey(prefix: KeyPrefix): string {
  let random = "";
  for (let i = 0; i < KEY_RANDOM_LENGTH; i++) random += KEY_ALPHABET[randomInt(KEY_ALPHABET.length)] ?? "";
  return formatKey(prefix, random);
}

/** `prefix_` + 20 characters: ids are not secret, only unguessable enough not to collide or to be walked. */
export function newId(prefix: "ten" | "site" | "key"): string {
  let random = "";
  for (let i = 0; i < 20; i++) random += KEY_ALPHABET[randomInt(KEY_ALPHABET.length)] ?? "";
  return `${prefix}_${random}`;
}

/** Id of an account, a login session, a key of an account: 24 hex characters. */
export function newObjectId(nowMs: number): string {
  return objectIdOf(nowMs, randomBytes(8));
}

/** What callers send instead of a key: hex SHA-256. */
export function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

/** Column `lookup`: keyed, so that neither the table nor the bus holds anything a thief could use. */
export function lookupOf(pepper: string, digest: string): string {
  return createHmac("sha256", pepper).update(digest).digest("hex");
}

/** Stored instead of what may be guessed (backup codes, guarded e-mails): keyed, and bound to its purpose. */
export function maskOf(pepper: string, purpose: "backup-code" | "login" | "step-up", text: string): string {
  return createHmac("sha256", pepper).update(`${purpose}\0${text}`).digest("hex");
}

/** Letters and digits that are not mistaken for one another. */
const CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

export function newBackupCode(): string {
  return Array.from({ length: 8 }, () => CODE_ALPHABET[randomInt(CODE_ALPHABET.length)]).join("");
}

export function sameSecret(a: string, b: string): boolean {
  const [x, y] = [createHash("sha256").update(a).digest(), createHash("sha256").update(b).digest()];
  return timingSafeEqual(x, y);
}

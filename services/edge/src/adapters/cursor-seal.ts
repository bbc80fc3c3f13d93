/**
 * Seals cursors: `c1_` + base64url(iv ‖ AES-256-CTR(payload)), iv = first 12 bytes of HMAC(tenant ‖ payload). The iv is synthetic, so the
 * same position gives the same text, and recomputing it on opening authenticates payload and tenant. Tests: cursor-seal.test.ts.
 */
import { createCipheriv, hash, hkdfSync, timingSafeEqual } from "node:crypto";
import { CURSOR_PAYLOAD_BYTES, type CursorPayload, decodeCursor, encodeCursor, type SurfaceCode } from "../domain/cursor.ts";

const PREFIX = "c1_";
const IV_BYTES = 12;
const BLOCK_BYTES = 16;
const HASH_BLOCK_BYTES = 64;

export interface CursorSeal {
  seal(tenantId: string, cursor: CursorPayload): string;
  /** undefined for anything that is not a cursor of this surface sealed for this tenant. */
  open(tenantId: string, text: string, surface: SurfaceCode): CursorPayload | undefined;
}

export function createCursorSeal(secret: string): CursorSeal {
  const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", secret, "headwater.cursor", purpose, 32));
  const mac = hmacSha256(derive("iv"));
  const applyKeystream = aesCtr(derive("body"));
  const syntheticIv = (tenantId: string, payload: Uint8Array): Buffer =>
    mac(Buffer.concat([Buffer.from(`${tenantId}\0`), payload])).subarray(0, IV_BYTES);
  return {
    seal(tenantId, cursor) {
      const payload = encodeCursor(cursor);
      const iv = syntheticIv(tenantId, payload);
      return PREFIX + Buffer.concat([iv, applyKeystream(iv, payload)]).toString("base64url");
    },
    open(tenantId, text, surface) {
      if (!text.startsWith(PREFIX) || text.length > 64 || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
      const sealed = Buffer.from(text.slice(PREFIX.length), "base64url");
      if (sealed.length !== IV_BYTES + CURSOR_PAYLOAD_BYTES) return undefined;
      // The last character has four bits that decode to nothing: a cursor has one spelling, or a changed one would pass for ours.
      if (sealed.toString("base64url") !== text.slice(PREFIX.length)) return undefined;
      const iv = sealed.subarray(0, IV_BYTES);
      const payload = applyKeystream(iv, sealed.subarray(IV_BYTES));
      if (!timingSafeEqual(iv, syntheticIv(tenantId, payload))) return undefined;
      return decodeCursor(payload, surface);
    },
  };
}

/*
 * A cursor may be sealed for every event of a socket. A fresh Hmac or Cipher object costs about 20 µs each on the reference machine, so both
 * standard constructions are put together from calls that cost about 1 µs; cursor-seal.test.ts compares them with node:crypto's own.
 */

/** HMAC-SHA256 from two one-shot hashes. @param key at most one hash block. */
export function hmacSha256(key: Uint8Array): (message: Uint8Array) => Buffer {
  const pad = (value: number): Buffer => {
    const block = Buffer.alloc(HASH_BLOCK_BYTES, value);
    key.forEach((byte, i) => (block[i] = byte ^ value));
    return block;
  };
  const [inner, outer] = [pad(0x36), pad(0x5c)];
  return (message) => hash("sha256", Buffer.concat([outer, hash("sha256", Buffer.concat([inner, message]), "buffer")]), "buffer");
}

/** AES-256-CTR with counter blocks `iv ‖ 0, 1, …`, from one long-lived block cipher. The same call encrypts and decrypts. */
export function aesCtr(key: Uint8Array): (iv: Uint8Array, data: Uint8Array) => Buffer {
  const blockCipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  return (iv, data) => {
    const blocks = Buffer.alloc(Math.ceil(data.length / BLOCK_BYTES) * BLOCK_BYTES);
    for (let at = 0, counter = 0; at < blocks.length; at += BLOCK_BYTES, counter++) {
      blocks.set(iv, at);
      blocks.writeUInt32BE(counter, at + IV_BYTES);
    }
    const keystream = blockCipher.update(blocks);
    const result = Buffer.allocUnsafe(data.length);
    for (let i = 0; i < data.length; i++) result[i] = (data[i] ?? 0) ^ (keystream[i] ?? 0);
    return result;
  };
}

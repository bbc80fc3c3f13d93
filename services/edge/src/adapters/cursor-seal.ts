/**
 * Seals cursors: `c1_` + base64url(iv ‖ AES-256-CTR(payload)), iv = first 12 bytes of HMAC(tenant ‖ payload). The iv is synthetic, so the
 * same position gives the same text, and recomputing it on opening authenticates payload and tenant. Tests: cursor-seal.test.ts.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { CURSOR_PAYLOAD_BYTES, type CursorPayload, decodeCursor, encodeCursor, type SurfaceCode } from "../domain/cursor.ts";

const PREFIX = "c1_";
const IV_BYTES = 12;
const COUNTER_BYTES = 4;

export interface CursorSeal {
  seal(tenantId: string, cursor: CursorPayload): string;
  /** undefined for anything that is not a cursor of this surface sealed for this tenant. */
  open(tenantId: string, text: string, surface: SurfaceCode): CursorPayload | undefined;
}

export function createCursorSeal(secret: string): CursorSeal {
  const derive = (purpose: string) => Buffer.from(hkdfSync("sha256", secret, "headwater.cursor", purpose, 32));
  const macKey = derive("iv");
  const cipherKey = derive("body");
  const counterBlock = (iv: Uint8Array) => Buffer.concat([iv, Buffer.alloc(COUNTER_BYTES)]);
  const syntheticIv = (tenantId: string, payload: Uint8Array) =>
    createHmac("sha256", macKey).update(tenantId).update("\0").update(payload).digest().subarray(0, IV_BYTES);
  return {
    seal(tenantId, cursor) {
      const payload = encodeCursor(cursor);
      const iv = syntheticIv(tenantId, payload);
      const cipher = createCipheriv("aes-256-ctr", cipherKey, counterBlock(iv));
      return PREFIX + Buffer.concat([iv, cipher.update(payload)]).toString("base64url");
    },
    open(tenantId, text, surface) {
      if (!text.startsWith(PREFIX) || text.length > 64 || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
      const sealed = Buffer.from(text.slice(PREFIX.length), "base64url");
      if (sealed.length !== IV_BYTES + CURSOR_PAYLOAD_BYTES) return undefined;
      const iv = sealed.subarray(0, IV_BYTES);
      const payload = createDecipheriv("aes-256-ctr", cipherKey, counterBlock(iv)).update(sealed.subarray(IV_BYTES));
      if (!timingSafeEqual(iv, syntheticIv(tenantId, payload))) return undefined;
      return decodeCursor(payload, surface);
    },
  };
}

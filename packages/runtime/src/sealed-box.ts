/**
 * Seals what must be readable again later (upstream credentials, TOTP secrets): AES-256-GCM under a key derived from ENCRYPTION_KEY, bound to
 * a context, so that a box cannot be moved to another row. Tests: sealed-box.test.ts.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import type { SealedBox } from "@headwater/protocol";

const TAG_BYTES = 16;

/** The box is of another key, of another context, or damaged. Never says which, except for the key id. */
export class CannotUnseal extends Error {
  override readonly name = "CannotUnseal";
}

export interface Sealer {
  /** @param context what it belongs to, e.g. `feed:697d…`; the same is needed to open it. */
  seal(text: string, context: string): SealedBox;
  /** @throws CannotUnseal */
  unseal(box: SealedBox, context: string): string;
}

export function createSealer(encryptionKey: string): Sealer {
  const key = Buffer.from(hkdfSync("sha256", encryptionKey, "headwater", "sealed-box", 32));
  const kid = createHash("sha256").update(key).digest("base64url").slice(0, 8);
  return {
    seal(text, context) {
      const iv = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(context));
      const ct = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return { kid, iv: iv.toString("base64url"), ct: ct.toString("base64url") };
    },
    unseal(box, context) {
      if (box.kid !== kid) throw new CannotUnseal(`sealed under another key (${box.kid}, ours is ${kid})`);
      const bytes = Buffer.from(box.ct, "base64url");
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(box.iv, "base64url"), { authTagLength: TAG_BYTES })
          .setAAD(Buffer.from(context))
          .setAuthTag(bytes.subarray(-TAG_BYTES));
        return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8");
      } catch (error) {
        throw new CannotUnseal("the box is damaged or belongs elsewhere", { cause: error });
      }
    },
  };
}

/** Time-based codes (RFC 6238): SHA-1, 6 digits, 30 s, one step to either side. Whether a step was used is the store's business. Tests: totp.test.ts. */
import { Secret, TOTP } from "otpauth";
import { toDataURL } from "qrcode";

const PERIOD_S = 30;
const ISSUER = "Headwater";

/** 160 random bits, base32. */
export function newTotpSecret(): string {
  return new Secret({ size: 20 }).base32;
}

/** What an authenticator app scans, as `data:image/png;base64,…`. */
export async function totpQrCode(secret: string, account: string): Promise<string> {
  return await toDataURL(totpOf(secret, account).toString());
}

/** The 30 s step the code belongs to, or undefined when it is none of now, just before and just after. */
export function totpStep(secret: string, code: string, nowMs: number): number | undefined {
  if (!/^\d{6}$/.test(code)) return undefined;
  const delta = totpOf(secret, "").validate({ token: code, timestamp: nowMs, window: 1 });
  return delta === null ? undefined : Math.floor(nowMs / 1_000 / PERIOD_S) + delta;
}

function totpOf(secret: string, label: string): TOTP {
  return new TOTP({ issuer: ISSUER, label, algorithm: "SHA1", digits: 6, period: PERIOD_S, secret: Secret.fromBase32(secret) });
}

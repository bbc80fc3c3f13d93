/**
 * Login tokens: JWT, HS256 and nothing else, whatever a header says. Only auth holds the key (docs/adr/0008). Tests: login-tokens.test.ts.
 */
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { SESSION_LIFETIME_MS } from "../domain/account-rules.ts";

/** `sid` session, `tid` tenant. */
export const LoginClaims = z.strictObject({
  userId: z.string().min(1),
  email: z.string(),
  username: z.string(),
  sid: z.string().min(1),
  tid: z.string().min(1),
  /** Seconds. */
  iat: z.number(),
  exp: z.number(),
});
export type LoginClaims = z.infer<typeof LoginClaims>;

export type TokenCheck = { ok: true; claims: LoginClaims } | { ok: false; code: "invalid" | "claims" };

export interface LoginTokens {
  sign(claims: Omit<LoginClaims, "iat" | "exp">, nowMs: number): Promise<string>;
  /** Signature, form and time; whether the session still lives is not looked at. Never throws for bad input. */
  check(token: string, nowMs: number): Promise<TokenCheck>;
}

const LIFETIME_S = SESSION_LIFETIME_MS / 1_000;

export function createLoginTokens(jwtSecret: string): LoginTokens {
  const key = new TextEncoder().encode(jwtSecret);
  return {
    async sign(claims, nowMs) {
      const iat = Math.floor(nowMs / 1_000);
      return await new SignJWT({ ...claims, iat, exp: iat + LIFETIME_S }).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(key);
    },
    async check(token, nowMs) {
      try {
        const { payload, protectedHeader } = await jwtVerify(token, key, {
          algorithms: ["HS256"],
          currentDate: new Date(nowMs),
          requiredClaims: ["exp", "iat"],
          // Also refuses a token from the future.
          maxTokenAge: LIFETIME_S,
          clockTolerance: 1,
        });
        // We name no key and send nobody elsewhere for one: a token that does is not ours.
        const { alg: _alg, typ: _typ, ...foreign } = protectedHeader;
        if (Object.keys(foreign).length > 0 || (payload.exp ?? 0) * 1_000 <= nowMs) return { ok: false, code: "invalid" };
        const claims = LoginClaims.safeParse(payload);
        if (claims.success) return { ok: true, claims: claims.data };
        return { ok: false, code: typeof payload["userId"] === "string" ? "invalid" : "claims" };
      } catch (error) {
        if (error instanceof errors.JOSEError || error instanceof TypeError) return { ok: false, code: "invalid" };
        throw error;
      }
    },
  };
}

import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { expect, it } from "vitest";
import { createLoginTokens } from "./login-tokens.ts";

const secret = "s".repeat(32);
const now = Date.parse("2026-06-01T00:00:00Z");
const WEEK_S = 7 * 24 * 3_600;
const claims = { userId: "u1", email: "a@example.com", username: "A", sid: "s1", tid: "t1" };
const iat = now / 1_000;
const full = { ...claims, iat, exp: iat + WEEK_S };
const tokens = createLoginTokens(secret);
const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const signed = (payload: JWTPayload, header: Record<string, unknown> = {}, by = secret): Promise<string> =>
  new SignJWT(payload).setProtectedHeader({ alg: "HS256", ...header }).sign(key(by));

it("signs for exactly seven days", async () => {
  const token = await tokens.sign(claims, now);
  expect(await tokens.check(token, now)).toEqual({ ok: true, claims: full });
  expect(await tokens.check(token, now + WEEK_S * 1_000 - 1)).toMatchObject({ ok: true });
  expect(await tokens.check(token, now + WEEK_S * 1_000)).toEqual({ ok: false, code: "invalid" });
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
it.each<[string, () => string | Promise<string>, string]>([
  ["alg none", () => new UnsecuredJWT(full).encode(), "invalid"],
  ["another secret", () => signed(full, {}, "t".repeat(32)), "invalid"],
  ["HS512", () => new SignJWT(full).setProtectedHeader({ alg: "HS512" }).sign(key(secret)), "invalid"],
  ["RS256", () => new SignJWT(full).setProtectedHeader({ alg: "RS256" }).sign(rsa.privateKey), "invalid"],
  ["a foreign kid", () => signed(full, { kid: "../../dev/null" }), "invalid"],
  ["a foreign jku", () => signed(full, { jku: "https://evil.example/keys" }), "invalid"],
  ["an embedded key", () => signed(full, { jwk: { kty: "oct", k: "c3Nz" } }), "invalid"],
  ["no expiry", () => signed({ ...claims, iat }), "invalid"],
  ["no time of issue", () => signed({ ...claims, exp: iat + 60 }), "invalid"],
  ["issued in the future", () => signed({ ...full, iat: iat + 60 }), "invalid"],
  ["not valid yet", () => signed({ ...full, nbf: iat + 60 }), "invalid"],
  ["a longer life than we give", () => signed({ ...full, iat: iat - WEEK_S - 60, exp: iat + 60 }), "invalid"],
  ["another audience", () => signed({ ...full, aud: "other" }), "invalid"],
  ["another issuer", () => signed({ ...full, iss: "other" }), "invalid"],
  ["no session", () => signed({ userId: "u1", email: "", username: "", tid: "t", iat, exp: iat + 60 }), "invalid"],
  ["no user", () => signed({ iat, exp: iat + 60 }), "claims"],
  ["a number as user", () => signed({ ...full, userId: 5 }), "claims"],
  ["nothing", () => "", "invalid"],
  ["two parts", () => "a.b", "invalid"],
  ["a cut signature", async () => (await signed(full)).slice(0, -2), "invalid"],
])("refuses %s", async (_name, make, code) => expect(await tokens.check(await make(), now)).toEqual({ ok: false, code }));

it("refuses any text without throwing", async () => {
  const part = fc.oneof(
    fc.base64String(),
    fc.string(),
    fc.json().map((text) => Buffer.from(text).toString("base64url")),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.tuple(part, part, part).map((parts) => parts.join(".")),
      ),
      async (text) => {
        expect(await tokens.check(text, now)).toEqual({ ok: false, code: "invalid" });
      },
    ),
    { numRuns: 300 },
  );
});

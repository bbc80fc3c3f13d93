/** Login tokens on HTTP: who is asking, asked once per request. Tests: shell.test.ts. */
import type { SessionVerification } from "@headwater/messaging";
import type { SessionCredential } from "@headwater/protocol";
import type { Request, RequestHandler } from "express";
import { ApiError } from "./api-error.ts";

const VERIFICATION = Symbol("session verification");

type Asked = Request & { [VERIFICATION]?: SessionVerification };

/** The token of `Authorization: Bearer …`; the scheme in any case. */
export function bearerOf(req: Pick<Request, "headers">): string | undefined {
  return /^bearer +(\S+) *$/i.exec(req.headers.authorization ?? "")?.[1];
}

/** Puts the verification on the request; {@link sessionOf} and the two guards read it. */
export function createSessionCheck(verify: (token: string | undefined) => Promise<SessionVerification>): RequestHandler {
  return async (req: Asked, _res, next) => {
    req[VERIFICATION] = await verify(bearerOf(req));
    next();
  };
}

export function verificationOf(req: Request): SessionVerification {
  return (req as Asked)[VERIFICATION] ?? { ok: false, code: "missing" };
}

/** Lets only a valid login token through. @throws ApiError 401 `missing token` | `invalid token`, 503 when nobody can tell. */
export const requireSession: RequestHandler = (req, _res, next) => {
  const verification = verificationOf(req);
  if (verification.ok) return next();
  if (verification.code === "unavailable") throw new ApiError("SERVICE_UNAVAILABLE", { headers: { "Retry-After": "1" } });
  throw new ApiError(verification.code === "missing" ? "MISSING_TOKEN" : "INVALID_TOKEN", { headers: { "WWW-Authenticate": "Bearer" } });
};

/** @throws Error when the route is not behind `shell.session`: a mistake of the program. */
export function sessionOf(req: Request): SessionCredential {
  const verification = verificationOf(req);
  if (!verification.ok) throw new Error("this route needs `shell.session`");
  return verification.session;
}

export function maybeSessionOf(req: Request): SessionCredential | undefined {
  const verification = verificationOf(req);
  return verification.ok ? verification.session : undefined;
}

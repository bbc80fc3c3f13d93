/** Text of the first-party visitor cookie. Pure. Tests: small-rules.test.ts. */

const MAX_AGE_S = 365 * 86_400;
const visitorValue = /^vis_[A-Za-z0-9_-]{1,124}$/;

/**
 * `Set-Cookie` value that renews the visitor cookie for a year, or undefined when the id is not one of ours.
 * Readable by scripts on purpose: the SDK needs the id.
 */
export function visitorCookie(visitorId: string, secure: boolean): string | undefined {
  if (!visitorValue.test(visitorId)) return undefined;
  return `_cs_uid=${visitorId}; Path=/; Max-Age=${MAX_AGE_S}; SameSite=Lax${secure ? "; Secure" : ""}`;
}

/** Visitor id from a `Cookie` header: `_cs_uid` counts only when it is a visitor id, else `_cs_vid`. */
export function visitorOfCookies(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  let fallback: string | undefined;
  for (const part of header.split(";")) {
    const equals = part.indexOf("=");
    if (equals === -1) continue;
    const name = part.slice(0, equals).trim();
    const value = part.slice(equals + 1).trim();
    if (name === "_cs_uid" && visitorValue.test(value)) return value;
    if (name === "_cs_vid" && visitorValue.test(value)) fallback ??= value;
  }
  return fallback;
}

/**
 * Which web pages may open `/ws`: those of this server and those of `CORS_ORIGIN`, compared as scheme, host and port; `*` is any. No
 * `Origin` = not a browser. Tests: socket-access.test.ts.
 */

export interface OriginFacts {
  origin: string | undefined;
  /** `Host` of the request. */
  host: string;
  scheme: "http" | "https";
}

export function originAllowed(facts: OriginFacts, allowed: readonly string[]): boolean {
  if (facts.origin === undefined || allowed.includes("*")) return true;
  const origin = canonical(facts.origin);
  if (origin === undefined) return false;
  return origin === canonical(`${facts.scheme}://${facts.host}`) || allowed.some((item) => canonical(item) === origin);
}

/** undefined for anything that has no scheme, host and port, such as the opaque origin `null`. */
function canonical(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin } = new URL(text);
  return origin === "null" ? undefined : origin;
}

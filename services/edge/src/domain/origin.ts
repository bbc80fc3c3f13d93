/**
 * Which web pages may open `/ws`: those of `CORS_ORIGIN` and those of this server, compared as scheme, host and port; `*` is any. No `Origin`
 * = not a browser. This server's own is what the request names, as long as it is an address or this machine: any other name could be made to
 * lead here by whoever owns it (DNS rebinding), so a name must stand in `CORS_ORIGIN`. Tests: socket-access.test.ts.
 */

export interface OriginFacts {
  origin: string | undefined;
  /** `Host` of the request. */
  host: string;
  scheme: "http" | "https";
}

export function originAllowed(facts: OriginFacts, allowed: readonly string[]): boolean {
  if (facts.origin === undefined || allowed.includes("*")) return true;
  const origin = parse(facts.origin);
  if (origin === undefined) return false;
  if (allowed.some((item) => parse(item)?.origin === origin.origin)) return true;
  return cannotBeRebound(origin.hostname) && origin.origin === parse(`${facts.scheme}://${facts.host}`)?.origin;
}

/** URL writes addresses like this and nothing else. */
const ADDRESS = /^(\d+(\.\d+){3}|\[.*\])$/;

/** An address leads where it says, and browsers look `localhost` up nowhere. */
function cannotBeRebound(hostname: string): boolean {
  return ADDRESS.test(hostname) || hostname === "localhost" || hostname.endsWith(".localhost");
}

/** undefined for anything that has no scheme, host and port, such as the opaque origin `null`. */
function parse(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.origin === "null" ? undefined : url;
}

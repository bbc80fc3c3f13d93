/** Matching a host name against registered domains. Vectors: vectors/hosts.json. */

/**
 * @param host host name without port, any case.
 * @param patterns `example.com` (exact), `*.example.com` (any subdomain, not the apex), `*` (any host).
 */
export function hostMatches(host: string, patterns: readonly string[]): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name === "") return false;
  return patterns.some((raw) => {
    const pattern = raw.toLowerCase();
    if (pattern === "*") return true;
    if (pattern.startsWith("*.")) return name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1;
    return name === pattern;
  });
}

/** Host name of an `Origin` or `Referer` value; undefined when it has none (`null`, garbage, an opaque scheme). */
export function hostOfOrigin(value: string): string | undefined {
  try {
    const url = new URL(value);
    return url.hostname === "" ? undefined : url.hostname.toLowerCase();
  } catch {
    return undefined;
  }
}

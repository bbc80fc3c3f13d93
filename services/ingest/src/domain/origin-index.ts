/**
 * Which origins are registered by anybody: a preflight carries no key, so it is answered from all registered domains, and the request
 * that follows is judged by its own credential. Lookup cost follows the labels of the host, not the number of tenants.
 * Pure. Tests: tables.test.ts.
 */
export class OriginIndex {
  readonly #patterns = new Map<string, number>();
  readonly #byOwner = new Map<string, readonly string[]>();

  /** Replaces the domains of a site or key; an empty list removes them. */
  replace(owner: string, domains: readonly string[]): void {
    for (const pattern of this.#byOwner.get(owner) ?? []) this.#count(pattern, -1);
    const patterns = domains.map((domain) => domain.toLowerCase());
    for (const pattern of patterns) this.#count(pattern, 1);
    if (patterns.length === 0) this.#byOwner.delete(owner);
    else this.#byOwner.set(owner, patterns);
  }

  /** @param host of the origin; undefined for an opaque one (`null`). */
  allows(host: string | undefined): boolean {
    if (this.#patterns.has("*")) return true;
    if (host === undefined) return false;
    const name = host.toLowerCase().replace(/\.$/, "");
    if (this.#patterns.has(name)) return true;
    for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      if (this.#patterns.has(`*${name.slice(dot)}`)) return true;
    }
    return false;
  }

  #count(pattern: string, by: number): void {
    const count = (this.#patterns.get(pattern) ?? 0) + by;
    if (count > 0) this.#patterns.set(pattern, count);
    else this.#patterns.delete(pattern);
  }
}

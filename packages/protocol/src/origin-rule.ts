/**
 * The provenance rule of browser keys, the same for collector, REST and feed: an `Origin` (or `Referer`) that is present must be registered,
 * an absent one is fine unless a site demands it. Other key types are exempt. Vectors: vectors/hosts.json.
 */
import type { Credential } from "./credentials.ts";
import { hostMatches, hostOfOrigin } from "./hosts.ts";

/** Domains a key may be used from: its own, else those of the tenant's sites. */
export function domainsOf(credential: Pick<Credential, "domains" | "sites">): string[] {
  return credential.domains.length > 0 ? credential.domains : credential.sites.flatMap((site) => site.domains);
}

/** @param origin value of `Origin`, else of `Referer`. An opaque origin (`null`) has no host: only "any domain" lets it in. */
export function originPermitted(
  credential: Pick<Credential, "keyType" | "domains" | "sites">,
  origin: string | undefined,
  requireOrigin: boolean = credential.sites.some((site) => site.settings.requireOrigin),
): boolean {
  if (credential.keyType !== "browser") return true;
  if (origin === undefined) return !requireOrigin;
  const domains = domainsOf(credential);
  const host = hostOfOrigin(origin);
  return host === undefined ? domains.includes("*") : hostMatches(host, domains);
}

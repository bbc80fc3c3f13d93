/**
 * May this credential be used from this origin and on this host, and for which site? Decision only; who the credential is was settled before.
 * Pure. Tests: access.test.ts.
 */
import {
  type Credential,
  type ErrorCode,
  hasScope,
  hostMatches,
  hostOfOrigin,
  originPermitted,
  type Scope,
  type SiteRecord,
} from "@headwater/protocol";

export interface AccessQuestion {
  credential: Credential;
  scope: Scope;
  /** `Origin`, else `Referer`; undefined when neither was sent. */
  origin: string | undefined;
  /** Host name of the request, without port. */
  host: string | undefined;
  /** `collector.requireRegisteredHost`. */
  requireRegisteredHost: boolean;
}

export type AccessDecision = { ok: true; site: SiteRecord; originHost: string | undefined } | { ok: false; code: ErrorCode };

export function decideAccess(question: AccessQuestion): AccessDecision {
  const { credential, origin, host } = question;
  if (!hasScope(credential.scopes, question.scope)) return { ok: false, code: "insufficient_scope" };
  const originHost = origin === undefined ? undefined : hostOfOrigin(origin);
  const site = siteOfHost(credential.sites, originHost) ?? siteOfTrackingHost(credential.sites, host) ?? credential.sites[0];
  if (site === undefined) return { ok: false, code: "domain_not_allowed" };
  if (!originPermitted(credential, origin, site.settings.requireOrigin)) return { ok: false, code: "origin_not_allowed" };
  if (question.requireRegisteredHost && !isRegisteredHost(credential, host)) return { ok: false, code: "domain_not_allowed" };
  return { ok: true, site, originHost };
}

function isRegisteredHost(credential: Credential, host: string | undefined): boolean {
  return host !== undefined && credential.sites.some((site) => hostMatches(host, site.settings.trackingHosts));
}

/** The site whose domains name the host; a site for any host (`*`) only when no other matches. */
export function siteOfHost(sites: readonly SiteRecord[], host: string | undefined): SiteRecord | undefined {
  if (host === undefined) return undefined;
  const named = sites.find((site) =>
    hostMatches(
      host,
      site.domains.filter((domain) => domain !== "*"),
    ),
  );
  return named ?? sites.find((site) => site.domains.includes("*"));
}

function siteOfTrackingHost(sites: readonly SiteRecord[], host: string | undefined): SiteRecord | undefined {
  return host === undefined ? undefined : sites.find((site) => hostMatches(host, site.settings.trackingHosts));
}

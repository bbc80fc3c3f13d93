/**
 * The handshake of the Signals Feed as pure decisions, in the order of the table in docs/signals.md: credential, plan, scope, key type and
 * origin, upgrade, query. Connection limits and drain come after and need the process. Tests: handshake.test.ts.
 */
import {
  type Credential,
  type ErrorCode,
  type FeedInclude,
  hasScope,
  hostMatches,
  hostOfOrigin,
  lowestPlanWith,
  PLAN_LIMITS,
  type TenantRecord,
} from "@headwater/protocol";
import type { Dialect, FeedFilter } from "./filter.ts";
import { filterFromQuery } from "./filter-input.ts";
import { parseInclude } from "./include.ts";

export interface Refusal {
  code: ErrorCode;
  message?: string;
  /** Further members of the body. A `message` among them keeps its place, because published bodies have a fixed order. */
  fields?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export const FEED_SUBPROTOCOL = "clickstream-v1";

export interface CredentialPlaces {
  /** Offered subprotocols in order. */
  subprotocols: readonly string[];
  query: string | undefined;
  header: string | undefined;
}

/** The first place that carries a credential decides; a wrong one is never rescued by a later place. */
export function readCredential(places: CredentialPlaces): string | undefined {
  const [first, second] = places.subprotocols;
  if (first === FEED_SUBPROTOCOL && second !== undefined) return second;
  return present(places.query) ?? present(places.header);
}

function present(value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : value;
}

export type Verification = { ok: true; credential: Credential } | { ok: false; code: "missing" | "invalid" | "expired" | "unavailable" };

export interface CallerFacts {
  /** Value of `Origin`, else of `Referer`. */
  origin: string | undefined;
  upgradeUrl: string;
}

/** Rows 2 to 4: who is asking, and may they. */
export function authorize(verification: Verification, caller: CallerFacts): Refusal | undefined {
  if (!verification.ok) {
    switch (verification.code) {
      case "missing":
        return { code: "missing_api_key" };
      case "invalid":
        return { code: "invalid_api_key" };
      case "expired":
        return { code: "expired_token" };
      case "unavailable":
        return { code: "overloaded", message: "Credentials cannot be checked now", headers: { "Retry-After": "2" } };
    }
  }
  const { credential } = verification;
  if (!credential.limits.feedRead) {
    return {
      code: "plan_upgrade_required",
      fields: {
        currentPlan: credential.plan,
        requiredPlan: lowestPlanWith("feedRead"),
        feature: "signals_feed_read",
        message: "The Signals Feed is part of the Scale plan and above",
        upgradeUrl: caller.upgradeUrl,
      },
    };
  }
  if (!hasScope(credential.scopes, "signals:read")) {
    return { code: "insufficient_scope", message: "The key lacks the scope signals:read" };
  }
  return credential.keyType === "browser" ? checkBrowserKey(credential, caller.origin) : undefined;
}

/** A browser key is public by nature: its tenant may keep it off the feed, and an origin that is present must be a registered one. */
function checkBrowserKey(credential: Credential, origin: string | undefined): Refusal | undefined {
  if (credential.sites.some((site) => !site.settings.feed.allowBrowserKeys)) {
    return { code: "key_type_not_allowed", message: "Browser keys may not open the feed; use a server key" };
  }
  if (origin === undefined) {
    return credential.sites.some((site) => site.settings.requireOrigin) ? { code: "origin_not_allowed" } : undefined;
  }
  const host = hostOfOrigin(origin);
  const domains = credential.domains.length > 0 ? credential.domains : credential.sites.flatMap((site) => site.domains);
  // An opaque origin (`null`, a file) has no host; only "any domain" lets it in.
  const allowed = host === undefined ? domains.includes("*") : hostMatches(host, domains);
  return allowed ? undefined : { code: "origin_not_allowed" };
}

export interface UpgradeFacts {
  /** A WebSocket upgrade that can be carried out. */
  isUpgrade: boolean;
  version: string | undefined;
}

/** Row 5. The body is a published literal. */
export function checkUpgrade(facts: UpgradeFacts): Refusal | undefined {
  if (facts.isUpgrade && facts.version === "13") return undefined;
  return {
    code: "upgrade_required",
    message: "WebSocket upgrade required at /v1/signals/stream",
    headers: { Upgrade: "websocket", Connection: "Upgrade", ...(facts.isUpgrade ? { "Sec-WebSocket-Version": "13" } : {}) },
  };
}

export interface FeedOptions {
  filter: FeedFilter | null;
  includes: readonly FeedInclude[];
  dialect: Dialect;
  resume: { kind: "none" } | { kind: "cursor"; text: string } | { kind: "since"; ms: number };
  onGap: "continue" | "fail";
}

export type OptionsResult = { ok: true; options: FeedOptions } | { ok: false; refusal: Refusal };

/** Parameters of durable subscriptions: refused, because ignoring them would promise what is not kept. */
const DURABLE_PARAMETERS = ["subscription", "takeover", "consumers", "partition"];

/** Row 6. Parameters it does not know are ignored, as proxies and analytics add their own. */
export function readFeedOptions(query: URLSearchParams, subprotocols: readonly string[], nowMs: number): OptionsResult {
  const bad = (code: ErrorCode, message: string): OptionsResult => ({ ok: false, refusal: { code, message } });
  if (subprotocols.length > 0 && subprotocols[0] !== FEED_SUBPROTOCOL) {
    return bad("invalid_request", `The first subprotocol must be ${FEED_SUBPROTOCOL}`);
  }
  const mode = query.get("mode") ?? "live";
  const durable = DURABLE_PARAMETERS.find((name) => query.has(name));
  if (mode !== "live" || durable !== undefined) {
    return bad("invalid_request", `${durable ?? "mode"}: only mode=live without a named subscription is offered`);
  }
  const dialectText = query.get("dialect") ?? "1";
  if (dialectText !== "1" && dialectText !== "2") return bad("invalid_request", "dialect must be 1 or 2");
  const dialect: Dialect = dialectText === "2" ? 2 : 1;
  const onGap = query.get("onGap") ?? "continue";
  if (onGap !== "continue" && onGap !== "fail") return bad("invalid_request", "onGap must be continue or fail");
  const include = parseInclude(query.getAll("include"));
  if (!include.ok) return bad("invalid_request", include.problem);
  const filter = filterFromQuery(query, dialect);
  if (!filter.ok) return bad("invalid_filter", filter.problem);
  const cursor = query.get("cursor");
  const since = query.get("since");
  if (cursor !== null && since !== null) return bad("invalid_request", "cursor and since exclude each other");
  const sinceMs = since === null ? undefined : parseSince(since, nowMs);
  if (since !== null && sinceMs === undefined) return bad("invalid_request", "since must be ms since epoch or an age such as -15m");
  const resume: FeedOptions["resume"] =
    cursor !== null ? { kind: "cursor", text: cursor } : sinceMs !== undefined ? { kind: "since", ms: sinceMs } : { kind: "none" };
  return { ok: true, options: { filter: filter.filter, includes: include.includes, dialect, resume, onGap } };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1713797640000` or `-15m` (s, m, h, d). @returns ms epoch. */
export function parseSince(text: string, nowMs: number): number | undefined {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const match = /^-(\d{1,9})([smhd])$/.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ""];
  return match && unit !== undefined ? Math.max(0, nowMs - Number(match[1]) * unit) : undefined;
}

/** Whether a live socket of this key must go, judged from the registry's current records. `undefined` = nothing known against it. */
export function isAccessRevoked(
  key: { scopes: readonly string[]; revokedAt: string | null; expiresAt: string | null } | null | undefined,
  tenant: Pick<TenantRecord, "plan" | "limits"> | null | undefined,
  nowMs: number,
): boolean {
  if (key === null || tenant === null) return true;
  if (key) {
    if (key.revokedAt !== null || !hasScope(key.scopes, "signals:read")) return true;
    if (key.expiresAt !== null && Date.parse(key.expiresAt) <= nowMs) return true;
  }
  return tenant !== undefined && !(tenant.limits?.feedRead ?? PLAN_LIMITS[tenant.plan].feedRead);
}

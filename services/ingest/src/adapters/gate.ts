/**
 * What every public route of the collector does first: request id, CORS, method, drain, credential, access. It answers refusals itself.
 * Order and codes are the contract's (docs/signals.md). Tests: collector.int.test.ts.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Credential, type ErrorCode, hostOfOrigin, type SiteRecord } from "@headwater/protocol";
import { type ErrorExtra, requestIdOf, sendError } from "@headwater/runtime";
import { type AccessDecision, decideAccess } from "../domain/access.ts";
import { type Hops, hopsOf, type ProxyTrust } from "../domain/hops.ts";
import type { OriginIndex } from "../domain/origin-index.ts";
import { RecentMap } from "../domain/recent-map.ts";
import type { CredentialVerifier } from "../ports.ts";
import type { JsonBody } from "./http-body.ts";
import type { Telemetry } from "../telemetry.ts";

export interface GateOptions {
  credentials: CredentialVerifier;
  origins: OriginIndex;
  trust: ProxyTrust;
  requireRegisteredHost: boolean;
  isDraining(): boolean;
  telemetry: Telemetry;
}

export interface Entry {
  credential: Credential;
  site: SiteRecord;
  /** Host of `Origin` or `Referer`; undefined when the client sent none. */
  originHost: string | undefined;
  hops: Hops;
  isHttps: boolean;
}

export interface RouteRule {
  /** The one method of the route besides OPTIONS. */
  method: "GET" | "POST" | "DELETE";
  /** The contract allows the key in the URL: beacons cannot set headers. */
  queryKey: boolean;
}

const RETRY_SOON_S = 1;
const ORIGINS_PER_CREDENTIAL = 64;
const REMEMBERED_PEERS = 4_096;
const EXPOSED = "X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Scope";

const CORS_HEADERS = ["Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"];

export class Gate {
  readonly #options: GateOptions;
  readonly #decisions = new WeakMap<Credential, RecentMap<AccessDecision>>();
  readonly #hops = new RecentMap<Hops>(REMEMBERED_PEERS);

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Undefined: the request has been answered. */
  async enter(req: IncomingMessage, res: ServerResponse, rule: RouteRule): Promise<Entry | undefined> {
    res.setHeader("X-Request-Id", requestIdOf(req));
    const corsAllowed = this.#cors(req, res);
    if (req.method === "OPTIONS") return this.#preflight(res, rule, corsAllowed);
    if (req.method !== rule.method) return this.refuse(res, "method_not_allowed", { headers: { Allow: `${rule.method}, OPTIONS` } });
    if (this.#options.isDraining()) return this.refuseForNow(res, "draining");
    const key = keyOf(req);
    if (key.inQuery && !rule.queryKey) {
      return this.refuse(res, "invalid_request", { message: "This route takes no key in the URL; use the X-API-Key header" });
    }
    const verified = await this.#options.credentials.verify(key.value);
    if (!verified.ok) return this.#refuseKey(res, verified.code);
    return this.#admit(req, res, verified.credential);
  }

  refuse(res: ServerResponse, code: ErrorCode, extra?: ErrorExtra): undefined {
    this.#options.telemetry.refused(code);
    sendError(res, code, extra);
    return undefined;
  }

  /** The body could not be read. Undefined also when the client is gone and nobody is answered. */
  refuseBody(res: ServerResponse, body: Extract<JsonBody, { ok: false }>): undefined {
    if (body.code === "aborted") return undefined;
    if (body.code === "overloaded") return this.refuseForNow(res, "overloaded");
    return this.refuse(res, body.code, "message" in body && body.message !== undefined ? { message: body.message } : {});
  }

  /** 503 with a hint when to come back. */
  refuseForNow(res: ServerResponse, code: "overloaded" | "draining"): undefined {
    return this.refuse(res, code, { headers: { "Retry-After": String(RETRY_SOON_S) }, fields: { retryAfter: RETRY_SOON_S } });
  }

  #admit(req: IncomingMessage, res: ServerResponse, credential: Credential): Entry | undefined {
    const hops = this.#hopsOf(req.socket.remoteAddress, header(req, "x-forwarded-for"));
    const access = this.#access(
      credential,
      req.headers.origin ?? req.headers.referer,
      (hops.isForwarded ? header(req, "x-forwarded-host") : undefined) ?? req.headers.host,
    );
    if (!access.ok) {
      // Registered by somebody, but not for this key: a foreign page learns nothing, not even why.
      if (access.code === "origin_not_allowed") for (const name of CORS_HEADERS) res.removeHeader(name);
      return this.refuse(res, access.code);
    }
    const forwardedProto = hops.isForwarded ? header(req, "x-forwarded-proto") : undefined;
    // A TLS socket says so; plain ones have no such member.
    const isTls = (req.socket as { encrypted?: boolean }).encrypted === true;
    const isHttps = forwardedProto === undefined ? isTls : forwardedProto.split(",", 1)[0]?.trim().toLowerCase() === "https";
    return { credential, site: access.site, originHost: access.originHost, hops, isHttps };
  }

  /** Depends on the two addresses alone, and most requests come through few of them. */
  #hopsOf(peer: string | undefined, forwardedFor: string | undefined): Hops {
    const question = forwardedFor === undefined ? (peer ?? "") : `${peer ?? ""} ${forwardedFor}`;
    let hops = this.#hops.get(question);
    if (!hops) this.#hops.set(question, (hops = hopsOf(peer, forwardedFor, this.#options.trust)));
    return hops;
  }

  /** The verifier hands out one object per state of a credential, so a decision holds as long as the object. */
  #access(credential: Credential, origin: string | undefined, host: string | undefined): AccessDecision {
    let known = this.#decisions.get(credential);
    if (!known) this.#decisions.set(credential, (known = new RecentMap(ORIGINS_PER_CREDENTIAL)));
    const question = `${origin ?? "-"} ${host ?? "-"}`;
    let decision = known.get(question);
    if (!decision) {
      decision = decideAccess({
        credential,
        scope: "events:write",
        origin,
        host: hostName(host),
        requireRegisteredHost: this.#options.requireRegisteredHost,
      });
      known.set(question, decision);
    }
    return decision;
  }

  #refuseKey(res: ServerResponse, code: "missing" | "invalid" | "expired" | "unavailable"): undefined {
    switch (code) {
      case "missing":
        return this.refuse(res, "missing_api_key");
      case "invalid":
        return this.refuse(res, "invalid_api_key");
      case "expired":
        return this.refuse(res, "expired_token");
      case "unavailable":
        return this.refuseForNow(res, "overloaded");
    }
  }

  /** Refusals carry the headers too, so that a registered page can read why. */
  #cors(req: IncomingMessage, res: ServerResponse): boolean {
    const { origin } = req.headers;
    if (origin === undefined) return true;
    res.setHeader("Vary", "Origin");
    if (!this.#options.origins.allows(hostOfOrigin(origin))) return false;
    res.setHeader("Access-Control-Allow-Origin", origin);
    res.setHeader("Access-Control-Allow-Credentials", "true");
    res.setHeader("Access-Control-Expose-Headers", EXPOSED);
    return true;
  }

  #preflight(res: ServerResponse, rule: RouteRule, isAllowed: boolean): undefined {
    if (!isAllowed) return this.refuse(res, "origin_not_allowed");
    res.writeHead(204, {
      Allow: `${rule.method}, OPTIONS`,
      "Access-Control-Allow-Methods": `${rule.method}, OPTIONS`,
      "Access-Control-Allow-Headers": "Content-Type, X-API-Key, Authorization",
      "Access-Control-Max-Age": "86400",
      "Content-Length": "0",
    });
    res.end();
    return undefined;
  }
}

/** The first credential that is present decides; a bad one is not replaced by a good one further down. */
export function keyOf(req: IncomingMessage): { value: string | undefined; inQuery: boolean } {
  const named = header(req, "x-api-key");
  const mark = req.url?.indexOf("?") ?? -1;
  const inUrl = mark === -1 ? [] : new URLSearchParams(req.url?.slice(mark + 1)).getAll("key");
  const inQuery = inUrl.length > 0;
  if (named !== undefined && named !== "") return { value: named, inQuery };
  // A repeated parameter is nobody's key.
  if (inQuery) return { value: inUrl.length === 1 ? inUrl[0] : inUrl.join(","), inQuery };
  const { authorization } = req.headers;
  if (authorization === undefined) return { value: undefined, inQuery };
  return { value: /^Bearer +(\S+)$/i.exec(authorization.trim())?.[1] ?? authorization, inQuery };
}

/** One value of a header that Node does not know: repeated ones are joined by a comma. */
export function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}

function hostName(host: string | undefined): string | undefined {
  return host === undefined ? undefined : hostOfOrigin(`http://${host}`);
}

/**
 * `GET /v1/signals/:visitorId`: the last labels of one visitor, asked of the lane that folds them. Wire contract: docs/signals.md.
 * Order of checks: method, credential, plan, scope, origin, rate, visitor. Tests: snapshot-routes.int.test.ts.
 */
import { type Credential, hasScope, lowestPlanWith, originPermitted, type VisitorContext } from "@headwater/protocol";
import { type Clock, requestIdOf, sendError } from "@headwater/runtime";
import { type Request, type Response, Router } from "express";
import { createReadLimiter } from "./read-limiter.ts";

export type Verify = (
  key: string | undefined,
) => Promise<{ ok: true; credential: Credential } | { ok: false; code: "missing" | "invalid" | "expired" | "unavailable" }>;

export interface SnapshotAnswer {
  context: VisitorContext | null;
  /** Events accepted before the request are still on their way through the lane. */
  behind: boolean;
}

export interface SnapshotPorts {
  verify: Verify;
  /** @throws when the lane has no owner within the deadline. */
  read(tenantId: string, visitorId: string, sessionId: string | undefined): Promise<SnapshotAnswer>;
  /** Context of a visitor nothing is known about yet. */
  neutral(visitorId: string, nowMs: number): VisitorContext;
  clock: Clock;
  /** Where a caller with too low a plan is sent. */
  upgradeUrl: string;
  onOutcome(outcome: "ok" | "pending" | "not_active" | "refused" | "unavailable"): void;
}

const MAX_ID = 128;

export function snapshotRoutes(ports: SnapshotPorts): Router {
  const limiter = createReadLimiter();
  const router = Router({ caseSensitive: true });
  router.all("/v1/signals/:visitorId", async (req: Request, res: Response) => {
    res.setHeader("X-Request-Id", requestIdOf(req));
    res.setHeader("Cache-Control", "no-store");
    const origin = headerOf(req, "origin") ?? headerOf(req, "referer");
    if (origin !== undefined) res.setHeader("Vary", "Origin");
    shareWithPage(req, res);
    if (req.method === "OPTIONS") return preflight(res);
    if (req.method !== "GET" && req.method !== "HEAD")
      return sendError(res, "method_not_allowed", { headers: { Allow: "GET, HEAD, OPTIONS" } });
    if ("key" in req.query || "api_key" in req.query || "token" in req.query) {
      ports.onOutcome("refused");
      return sendError(res, "invalid_request", { message: "Send the key in the X-API-Key header; a URL ends up in logs" });
    }
    const verified = await ports.verify(headerOf(req, "x-api-key") ?? bearerOf(req));
    if (!verified.ok) {
      ports.onOutcome(verified.code === "unavailable" ? "unavailable" : "refused");
      if (verified.code === "missing") return sendError(res, "missing_api_key");
      if (verified.code === "invalid") return sendError(res, "invalid_api_key");
      if (verified.code === "expired") return sendError(res, "expired_token");
      return sendError(res, "overloaded", { headers: { "Retry-After": "2" } });
    }
    const { credential } = verified;
    if (!credential.limits.snapshotRead) {
      ports.onOutcome("refused");
      return sendError(res, "plan_upgrade_required", {
        message: "Snapshots are part of the Builder plan and above",
        fields: {
          currentPlan: credential.plan,
          requiredPlan: lowestPlanWith("snapshotRead"),
          feature: "signals_snapshot_read",
          upgradeUrl: ports.upgradeUrl,
        },
      });
    }
    if (!hasScope(credential.scopes, "signals:read")) return refuse(ports, res, "insufficient_scope");
    if (!originPermitted(credential, origin)) {
      res.removeHeader("Access-Control-Allow-Origin");
      return refuse(ports, res, "origin_not_allowed");
    }
    const visitorId = String(req.params["visitorId"] ?? "");
    const sessionId = typeof req.query["sessionId"] === "string" ? req.query["sessionId"] : undefined;
    if (visitorId.length > MAX_ID || (sessionId?.length ?? 0) > MAX_ID) return refuse(ports, res, "invalid_request");
    const waitMs = limiter.waitMs(`${credential.tenantId}:${visitorId}`, credential.limits.snapshotMinIntervalMs, ports.clock.now());
    if (waitMs > 0) {
      ports.onOutcome("refused");
      const seconds = Math.ceil(waitMs / 1000);
      return sendError(res, "rate_limit_exceeded", {
        message: "This plan reads a visitor at most once per interval",
        fields: { retryAfter: seconds },
        headers: {
          "Retry-After": String(seconds),
          "X-RateLimit-Scope": "key",
          "X-RateLimit-Reset": String(Math.ceil((ports.clock.now() + waitMs) / 1000)),
        },
      });
    }
    let answer: SnapshotAnswer;
    try {
      answer = await ports.read(credential.tenantId, visitorId, sessionId);
    } catch {
      // The lane is moving or the broker is away; both pass within seconds.
      ports.onOutcome("unavailable");
      return sendError(res, "overloaded", { headers: { "Retry-After": "2" } });
    }
    if (answer.context === null && !answer.behind) {
      ports.onOutcome("not_active");
      return sendError(res, "visitor_not_active");
    }
    ports.onOutcome(answer.behind ? "pending" : "ok");
    const context = answer.context ?? ports.neutral(visitorId, ports.clock.now());
    return res.status(200).json(answer.behind ? { ...context, pending: true } : context);
  });
  return router;
}

function refuse(ports: SnapshotPorts, res: Response, code: "insufficient_scope" | "origin_not_allowed" | "invalid_request"): void {
  ports.onOutcome("refused");
  sendError(res, code);
}

/**
 * A page may read every answer but that it is a foreign one: a refusal nobody can read looks like a broken network. Nothing is shared that the
 * page could not get by leaving its origin out; cookies play no part here.
 */
function shareWithPage(req: Request, res: Response): void {
  const origin = headerOf(req, "origin");
  if (origin === undefined) return;
  res.setHeader("Access-Control-Allow-Origin", origin);
  res.setHeader("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, X-RateLimit-Scope, X-RateLimit-Reset");
}

/** A preflight carries no credential, so it tells nothing: whether the origin may read is decided on the request itself. */
function preflight(res: Response): void {
  res.setHeader("Access-Control-Allow-Methods", "GET, HEAD");
  res.setHeader("Access-Control-Allow-Headers", "X-API-Key, Authorization, Accept");
  res.setHeader("Access-Control-Max-Age", "86400");
  res.status(204).end();
}

function headerOf(req: Request, name: string): string | undefined {
  const value = req.headers[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function bearerOf(req: Request): string | undefined {
  const match = /^Bearer\s+(\S+)$/i.exec(headerOf(req, "authorization") ?? "");
  return match?.[1];
}

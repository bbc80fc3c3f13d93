/**
 * The shell around every `/api/*` route of a service: request id, metrics, time limit, security headers, CORS, who is asking, limits; then the
 * routes; then 404 or 405, and the error envelope. Never a stack, a statement or a host name in an answer. Tests: shell.test.ts.
 */
import type { SessionVerification, SharedLimiter } from "@headwater/messaging";
import { routeOf } from "@headwater/protocol";
import { type Clock, createClientAddress, createClientScheme, type Logger, requestIdOf } from "@headwater/runtime";
import express, { type NextFunction, type Request, type RequestHandler, type Response, type Router } from "express";
import { Histogram, type Registry } from "prom-client";
import { ZodError } from "zod";
import { ApiError, type ErrorStyle, sendApiError } from "./api-error.ts";
import { createClientLimits, type RouteLimit } from "./client-limits.ts";
import type { ApiConfig } from "./config.ts";
import { crossOrigin, securityHeaders } from "./headers.ts";
import { jsonBody } from "./json-body.ts";
import { createSessionCheck, requireSession } from "./session.ts";

export interface ApiShellOptions {
  log: Logger;
  clock: Clock;
  metrics: Registry;
  verifySession(token: string | undefined): Promise<SessionVerification>;
  limiter: SharedLimiter;
  config: ApiConfig;
  /** Limits beside the general one. */
  routeLimits?: readonly RouteLimit[];
  errorStyle?: ErrorStyle;
}

export interface ApiShell {
  /** The service's router. Leaves paths alone that have another envelope in the route table. */
  router: Router;
  /** Add handlers here, with absolute paths. They throw ApiError or ZodError. `res.locals.timeoutMs` changes the time limit; 0 = none. */
  routes: Router;
  /** Needs a login token: 401 `missing token` | `invalid token`; 503 when nobody can tell. Then `sessionOf(req)`. */
  session: RequestHandler;
  /** Uses a valid login token; none or a bad one is anonymous. Then `maybeSessionOf(req)`. */
  maybeSession: RequestHandler;
  /** Reads the body into `req.body`. */
  json: RequestHandler;
}

export function createApiShell(options: ApiShellOptions): ApiShell {
  const { config, log } = options;
  const style = options.errorStyle ?? "api";
  const router = express.Router({ caseSensitive: true });
  const routes = express.Router({ caseSensitive: true });

  router.use((req, _res, next) => next(routeOf(req.path)?.envelope === "api" ? undefined : "router"));
  router.use(observe(options));
  router.use((req, res, next) => {
    limitTime(req, res, config.REQUEST_TIMEOUT_MS, style);
    next();
  });
  router.use(...securityHeaders(createClientScheme(config.TRUSTED_PROXIES)));
  router.use(crossOrigin(config.CORS_ORIGIN));
  router.use(createSessionCheck((token) => options.verifySession(token)));
  router.use(
    createClientLimits({
      limiter: options.limiter,
      addressOf: createClientAddress(config.TRUSTED_PROXIES),
      general: { rate: config.RATE_LIMIT_PER_SECOND, burst: config.RATE_LIMIT_BURST },
      routes: options.routeLimits ?? [],
    }),
  );
  router.use(routes);
  router.use((req) => {
    const methods = methodsOf(routes, req.path);
    if (methods.length === 0) throw new ApiError("ROUTE_NOT_FOUND");
    throw new ApiError("METHOD_NOT_ALLOWED", { headers: { Allow: methods.join(", ") } });
  });
  router.use((error: unknown, req: Request, res: Response, _next: NextFunction) => {
    sendApiError(res, toApiError(error, req, log), style);
  });
  return { router, routes, session: requireSession, maybeSession: (_req, _res, next) => next(), json: jsonBody };
}

/** Request id, and the time of every request by route template, so that ids in paths make no series. */
function observe({ metrics, clock }: ApiShellOptions): RequestHandler {
  const durations = new Histogram({
    name: "headwater_http_request_seconds",
    help: "Time to the end of the answer of /api requests",
    labelNames: ["method", "route", "status"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15],
    registers: [metrics],
  });
  return (req, res, next) => {
    const begun = clock.monotonicMs();
    res.setHeader("X-Request-Id", requestIdOf(req));
    res.once("close", () => {
      const route = typeof req.route?.path === "string" ? req.route.path : "none";
      // A caller that hung up before the answer was complete has no status.
      const status = res.writableFinished ? String(res.statusCode) : "aborted";
      durations.observe({ method: req.method, route, status }, (clock.monotonicMs() - begun) / 1000);
    });
    next();
  };
}

function limitTime(req: Request, res: Response, defaultMs: number, style: ErrorStyle): void {
  const begun = performance.now();
  const expire = (): void => {
    const limit: unknown = res.locals["timeoutMs"];
    const limitMs = typeof limit === "number" ? limit : defaultMs;
    if (limitMs === 0 || res.headersSent) return;
    const leftMs = limitMs - (performance.now() - begun);
    if (leftMs > 1) timer = setTimeout(expire, leftMs);
    // A body that did not arrive in time is not waited for.
    else sendApiError(res, new ApiError("REQUEST_TIMEOUT", req.readableEnded ? {} : { headers: { Connection: "close" } }), style);
  };
  let timer = setTimeout(expire, defaultMs);
  res.once("close", () => clearTimeout(timer));
}

/** Methods that the routes know for a path, without HEAD and OPTIONS. */
function methodsOf(routes: Router, path: string): string[] {
  const methods = new Set<string>();
  for (const layer of routes.stack) {
    if (!layer.route || !canMatch(layer) || !layer.match(path)) continue;
    for (const { method } of layer.route.stack) methods.add(method.toUpperCase());
  }
  return [...methods];
}

/** Express' own test of a path, which its types leave out. */
function canMatch(layer: object): layer is { match(path: string): boolean } {
  return "match" in layer && typeof layer.match === "function";
}

function toApiError(error: unknown, req: Request, log: Logger): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ZodError) return new ApiError("INVALID_PAYLOAD");
  // Express hands over URIError for a broken percent escape in a path parameter: no such path can exist.
  if (error instanceof URIError) return new ApiError("ROUTE_NOT_FOUND");
  log.error({ err: error, method: req.method, route: req.route?.path }, "http.unhandled");
  return new ApiError("INTERNAL");
}

/**
 * The error envelope of HTTP answers of the signals surface: `{"error","message",…}` plus `X-Request-Id`; and, for answers given before a route
 * is found, the envelope that the path's surface has. Tests: http-server.int.test.ts.
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { API_ERRORS, type ApiErrorCode, ERRORS, type ErrorCode, routeOf } from "@headwater/protocol";

/** Our own request id, or the caller's when it is a plain token. */
export function requestIdOf(req: IncomingMessage): string {
  const given = req.headers["x-request-id"];
  return typeof given === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : `req_${randomUUID().replaceAll("-", "")}`;
}

export interface ErrorExtra {
  message?: string;
  /** Additional members after `error` and `message`. */
  fields?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export function errorBody(code: ErrorCode, extra: ErrorExtra = {}): string {
  return JSON.stringify({ error: code, message: extra.message ?? ERRORS[code].message, ...extra.fields });
}

export function sendError(res: ServerResponse, code: ErrorCode, extra: ErrorExtra = {}): void {
  send(res, ERRORS[code].status, errorBody(code, extra), extra);
}

function send(res: ServerResponse, status: number, body: string, extra: ErrorExtra): void {
  if (res.headersSent) {
    res.end();
    return;
  }
  if (!res.hasHeader("x-request-id")) res.setHeader("X-Request-Id", requestIdOf(res.req));
  for (const [name, value] of Object.entries(extra.headers ?? {})) res.setHeader(name, value);
  res.writeHead(status, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

/** What the shell of a process, or a front before it, refuses by itself, and its name under `/api`. */
const UNROUTED = {
  not_found: "ROUTE_NOT_FOUND",
  invalid_request: "ROUTE_NOT_FOUND",
  internal: "INTERNAL",
  overloaded: "SERVICE_UNAVAILABLE",
} as const satisfies Partial<Record<ErrorCode, ApiErrorCode>>;

/** {@link sendError} in the envelope of the surface that the path belongs to. */
export function sendErrorFor(res: ServerResponse, path: string, code: keyof typeof UNROUTED, extra: ErrorExtra = {}): void {
  const isApi = path === "/api" || path.startsWith("/api/") || routeOf(path)?.envelope === "api";
  if (!isApi) return sendError(res, code, extra);
  const { status, message } = API_ERRORS[UNROUTED[code]];
  send(res, status, JSON.stringify({ success: false, message, code: UNROUTED[code] }), extra);
}

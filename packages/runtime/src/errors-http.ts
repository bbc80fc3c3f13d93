/** The error envelope of every HTTP answer: `{"error","message",…}` plus `X-Request-Id`. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { ERRORS, type ErrorCode } from "@headwater/protocol";

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
  if (res.headersSent) {
    res.end();
    return;
  }
  const body = errorBody(code, extra);
  if (!res.hasHeader("x-request-id")) res.setHeader("X-Request-Id", requestIdOf(res.req));
  for (const [name, value] of Object.entries(extra.headers ?? {})) res.setHeader(name, value);
  res.writeHead(ERRORS[code].status, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

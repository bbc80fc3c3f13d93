/** Errors of `/api/*` as values, and their one way onto the wire. Tests: api-error.test.ts. */
import type { ServerResponse } from "node:http";
import { API_ERRORS, type ApiErrorCode } from "@headwater/protocol";
import { requestIdOf } from "@headwater/runtime";

/** `llm`: the body also has `error`, equal to `message`, as the clients of `/api/llm/*` expect. */
export type ErrorStyle = "api" | "llm";

export interface ApiErrorInit {
  /** Default: that of the code in API_ERRORS, else 400. */
  status?: number;
  /** Default: that of the code in API_ERRORS, else `invalid payload`. */
  message?: string;
  /** Further members of the body; may replace `error`. */
  fields?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** Thrown by a handler, answered by the shell: `{"success":false,"message","code",…}`. Nothing of `cause` is told to the client. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;
  readonly status: number;
  readonly fields: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(code: ApiErrorCode | (string & {}), init: ApiErrorInit = {}, options?: ErrorOptions) {
    const known = isKnown(code) ? API_ERRORS[code] : { status: 400, message: API_ERRORS.INVALID_PAYLOAD.message };
    super(init.message ?? known.message, options);
    this.code = code;
    this.status = init.status ?? known.status;
    this.fields = init.fields ?? {};
    this.headers = init.headers ?? {};
  }
}

function isKnown(code: string): code is ApiErrorCode {
  return Object.hasOwn(API_ERRORS, code);
}

export function apiErrorBody(error: ApiError, style: ErrorStyle = "api"): string {
  const { message, code, fields } = error;
  return JSON.stringify({ success: false, message, ...(style === "llm" ? { error: message } : {}), code, ...fields });
}

/** Does nothing when an answer is complete; an answer that has begun and cannot be completed is cut, so that it is not taken for whole. */
export function sendApiError(res: ServerResponse, error: ApiError, style: ErrorStyle = "api"): void {
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy();
    return;
  }
  const body = apiErrorBody(error, style);
  if (!res.hasHeader("x-request-id")) res.setHeader("X-Request-Id", requestIdOf(res.req));
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  res.writeHead(error.status, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

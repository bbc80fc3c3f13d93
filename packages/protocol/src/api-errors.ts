/**
 * Error answers of `/api/*`: `{"success":false,"message":text,"code":CODE}` (`/api/llm/*` also `error` = message). On this surface the
 * message is the contract and the code is ours. Messages in use are listed here once; field-specific ones are made by their schema.
 */
import { z } from "zod";

/** Body of an error. `error` is there under `/api/llm` (= message) and when a rate limit is reached (`too_many_requests`). */
export const ApiErrorAnswer = z.looseObject({
  success: z.literal(false),
  message: z.string(),
  code: z.string(),
  error: z.string().optional(),
});

export const API_ERRORS = {
  INVALID_PAYLOAD: { status: 400, message: "invalid payload" },
  INVALID_ID: { status: 400, message: "invalid id" },
  MISSING_TOKEN: { status: 401, message: "missing token" },
  INVALID_TOKEN: { status: 401, message: "invalid token" },
  NOT_AUTHORIZED: { status: 403, message: "not authorized" },
  FEED_LIMIT_REACHED: { status: 403, message: "feed limit reached" },
  ROUTE_NOT_FOUND: { status: 404, message: "route not found" },
  FEED_NOT_FOUND: { status: 404, message: "Feed not found" },
  METHOD_NOT_ALLOWED: { status: 405, message: "method not allowed" },
  CONFLICT: { status: 409, message: "changed meanwhile, try again" },
  PAYLOAD_TOO_LARGE: { status: 413, message: "payload too large" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, message: "content type must be application/json" },
  RATE_LIMITED: { status: 429, message: "Rate limit exceeded. Please try again later." },
  INTERNAL: { status: 500, message: "internal error" },
  SERVICE_UNAVAILABLE: { status: 503, message: "service unavailable" },
  REQUEST_TIMEOUT: { status: 504, message: "request timed out" },
} as const satisfies Record<string, { status: number; message: string }>;
export type ApiErrorCode = keyof typeof API_ERRORS;

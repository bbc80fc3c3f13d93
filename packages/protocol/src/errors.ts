/**
 * Closed set of error codes of the Signals surface (collector, REST, feed handshake) and their HTTP status.
 * Envelope: `{"error": code, "message": text, …extra}`. `error` is stable, `message` is not.
 * docs/signals.md lists every code; errors.test.ts fails when one is missing there.
 */
export const ERRORS = {
  invalid_json: { status: 400, message: "The body is not valid JSON" },
  invalid_request: { status: 400, message: "The request is not valid" },
  invalid_cursor: { status: 400, message: "The cursor is not one of ours" },
  invalid_filter: { status: 400, message: "The filter is not valid" },
  missing_api_key: { status: 401, message: "An API key is required" },
  invalid_api_key: { status: 401, message: "Unknown or revoked API key" },
  expired_token: { status: 401, message: "The credential has expired" },
  plan_upgrade_required: { status: 403, message: "This feature is not part of the current plan" },
  domain_not_allowed: { status: 403, message: "This host is not registered for the tenant" },
  origin_not_allowed: { status: 403, message: "This origin is not registered for the tenant" },
  insufficient_scope: { status: 403, message: "The key lacks the scope this route needs" },
  key_type_not_allowed: { status: 403, message: "This type of key may not be used here" },
  write_not_allowed: { status: 403, message: "Writing to the feed is not allowed for this key" },
  not_found: { status: 404, message: "No such route or thing" },
  visitor_not_active: { status: 404, message: "No snapshot for this visitor" },
  method_not_allowed: { status: 405, message: "Method not allowed" },
  conflict: { status: 409, message: "Changed by somebody else meanwhile" },
  subscription_in_use: { status: 409, message: "The subscription is attached elsewhere" },
  cursor_expired: { status: 410, message: "The cursor is older than what is kept" },
  payload_too_large: { status: 413, message: "The body is over the limit" },
  unsupported_media_type: { status: 415, message: "The content type or encoding is not supported" },
  invalid_batch: { status: 422, message: "No event in the batch was valid" },
  upgrade_required: { status: 426, message: "WebSocket upgrade required" },
  rate_limit_exceeded: { status: 429, message: "Rate limit exceeded" },
  too_many_connections: { status: 429, message: "Too many connections" },
  internal: { status: 500, message: "Internal error" },
  overloaded: { status: 503, message: "The service cannot take this now" },
  draining: { status: 503, message: "The service is shutting down" },
} as const satisfies Record<string, { status: number; message: string }>;
export type ErrorCode = keyof typeof ERRORS;

/** Codes of single events inside a batch answer (`errors[].code`). */
export const EVENT_ERROR_CODES = [
  "invalid_event",
  "unsupported_event_type",
  "event_too_old",
  "event_too_large",
  "missing_field",
  "invalid_field",
] as const;
export type EventErrorCode = (typeof EVENT_ERROR_CODES)[number];

/** Reasons an event is dropped without being an error (`dropReasons`). */
export const DROP_REASONS = ["opted_out", "privacy_signal", "no_consent", "excluded_path"] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Close codes of the Signals Feed. */
export const FEED_CLOSE = {
  bye: { code: 1000, reason: "bye" },
  unsupported_data: { code: 1003, reason: "unsupported_data" },
  policy_violation: { code: 1008, reason: "policy_violation" },
  message_too_big: { code: 1009, reason: "message_too_big" },
  slow_consumer: { code: 1011, reason: "slow_consumer" },
  internal_error: { code: 1011, reason: "internal_error" },
  draining: { code: 1012, reason: "draining" },
  idle_timeout: { code: 4000, reason: "idle_timeout" },
  access_revoked: { code: 4003, reason: "access_revoked" },
  duration_limit: { code: 4008, reason: "duration_limit" },
  subscription_taken_over: { code: 4009, reason: "subscription_taken_over" },
} as const;
export type FeedClose = keyof typeof FEED_CLOSE;

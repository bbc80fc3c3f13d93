/** Public surface: the shell around every `/api/*` route. See ../README.md. */
export { ApiError, type ApiErrorInit, apiErrorBody, type ErrorStyle, sendApiError } from "./api-error.ts";
export { type ApiConfig, ApiEnv, AuthLimitEnv, authLimits } from "./config.ts";
export type { RouteLimit } from "./client-limits.ts";
export { bodyTextOf } from "./json-body.ts";
export { maybeSessionOf, sessionOf } from "./session.ts";
export { listRoutes } from "./route-list.ts";
export { type ApiShell, type ApiShellOptions, createApiShell } from "./shell.ts";

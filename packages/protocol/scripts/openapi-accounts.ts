/** Operations of `/api/auth` and `/v1/keys`. Requests are described by the schemas that validate them (src/api/account.ts). */
import { invalidScopeMessage } from "../src/index.ts";
import { type ApiOperation, type ApiRefusal, describeApi, inQuery } from "./openapi-api.ts";
import type { Described } from "./openapi-parts.ts";

const invalidScope = { code: "INVALID_SCOPE", status: 400, message: invalidScopeMessage("<scope>") };
const newKey: ApiRefusal[] = [
  "KEY_FIELDS_REQUIRED",
  "KEY_NAME_TOO_LONG",
  "KEY_EXPIRY_INVALID",
  invalidScope,
  "KEY_NAME_TAKEN",
  "KEY_LIMIT_REACHED",
  "KEY_NOT_MADE",
];
const oldKey: ApiRefusal[] = ["INVALID_KEY_ID", "KEY_NOT_FOUND", "KEY_NOT_REVOKED"];

const OPERATIONS: readonly ApiOperation[] = [
  {
    method: "post", path: "/api/auth/register", id: "register", summary: "Create an account", auth: "none",
    body: "RegisterRequest", status: 201, answer: "LoginAnswer", errors: ["CREDENTIALS_REQUIRED", "INVALID_EMAIL", "WEAK_PASSWORD", "USER_EXISTS"],
  },
  {
    method: "post", path: "/api/auth/login", id: "login", summary: "Log in; the token is valid for 7 days", auth: "none",
    body: "LoginRequest", answer: "LoginAnswer", errors: ["WRONG_CREDENTIALS", "TWO_FACTOR_REQUIRED", "TOO_MANY_ATTEMPTS"],
  },
  { method: "get", path: "/api/auth/me", id: "getMe", summary: "The account", auth: "session", answer: "MeAnswer", errors: ["USER_NOT_FOUND"] },
  {
    method: "get", path: "/api/auth/token-usage", id: "getTokenUsage", summary: "LLM tokens used this month", auth: "session",
    answer: "TokenUsageAnswer", errors: ["USER_NOT_FOUND"],
  },
  { method: "post", path: "/api/auth/logout", id: "logout", summary: "End this session", auth: "session", answer: "MessageAnswer" },
  {
    method: "post", path: "/api/auth/change-password", id: "changePassword", summary: "Change the password; ends all other sessions", auth: "session",
    body: "ChangePasswordRequest", answer: "DoneAnswer", errors: ["WRONG_CURRENT_PASSWORD", "WEAK_PASSWORD", "TOO_MANY_ATTEMPTS", "CONFLICT"],
  },
  {
    method: "post", path: "/api/auth/2fa/setup", id: "setUpTwoFactor", summary: "Begin two-factor authentication", auth: "session",
    answer: "TwoFactorSetupAnswer", errors: ["TWO_FACTOR_ENABLED"],
  },
  {
    method: "post", path: "/api/auth/2fa/enable", id: "enableTwoFactor", summary: "Enable it with a first code", auth: "session",
    body: "TwoFactorEnableRequest", answer: "BackupCodesAnswer", errors: ["INVALID_CODE", "TOO_MANY_ATTEMPTS"],
  },
  {
    method: "post", path: "/api/auth/2fa/disable", id: "disableTwoFactor", summary: "Disable it with a code or the password", auth: "session",
    body: "TwoFactorDisableRequest", answer: "DoneAnswer", errors: ["INVALID_CODE", "TOO_MANY_ATTEMPTS"],
  },
  {
    method: "get", path: "/api/auth/2fa/backup-codes/status", id: "getBackupCodesStatus", summary: "Backup codes left", auth: "session",
    answer: "BackupCodesStatusAnswer",
  },
  {
    method: "post", path: "/api/auth/2fa/backup-codes/regenerate", id: "regenerateBackupCodes", summary: "New backup codes; the old ones are void",
    auth: "session", body: "BackupCodesRequest", answer: "BackupCodesAnswer", errors: ["INVALID_CODE", "TOO_MANY_ATTEMPTS"],
  },
  { method: "get", path: "/api/auth/sessions", id: "listSessions", summary: "Login sessions", auth: "session", answer: "SessionsAnswer" },
  {
    method: "delete", path: "/api/auth/sessions/{id}", id: "endSession", summary: "End a session; its sockets close at once", auth: "session",
    answer: "DoneAnswer", errors: ["INVALID_SESSION_ID", "SESSION_NOT_FOUND"],
  },
  {
    method: "post", path: "/api/auth/sessions/terminate-others", id: "endOtherSessions", summary: "End all sessions but this one", auth: "session",
    answer: "TerminateOthersAnswer",
  },
  {
    method: "get", path: "/api/auth/login-activity", id: "listLoginActivity", summary: "Logins and failed attempts, newest first", auth: "session",
    parameters: [inQuery("limit", "How many; default 10", { type: "integer", minimum: 1 })], answer: "LoginActivityAnswer",
  },
  {
    method: "post", path: "/api/auth/api-keys", id: "createApiKey", summary: "Create a `ts_live_` key for the feeds socket", auth: "session",
    body: "CreateApiKeyRequest", status: 201, answer: "CreateApiKeyAnswer", errors: newKey,
  },
  {
    method: "get", path: "/api/auth/api-keys", id: "listApiKeys", summary: "Active `ts_live_` keys, newest first", auth: "session",
    answer: "ApiKeysAnswer", errors: ["KEYS_NOT_READ"],
  },
  {
    method: "delete", path: "/api/auth/api-keys/{id}", id: "revokeApiKey", summary: "Revoke a key; its sockets close at once", auth: "session",
    answer: "MessageAnswer", errors: oldKey,
  },
  {
    method: "post", path: "/v1/keys", id: "createKey", summary: "Create a key of any prefix, with any scope of the plan", auth: "session",
    body: "CreateKeyRequest", status: 201, answer: "CreateApiKeyAnswer",
    errors: [...newKey, { code: "PLAN_UPGRADE_REQUIRED", status: 403, message: "scope <scope> is not part of the plan <plan>" }],
  },
  { method: "get", path: "/v1/keys", id: "listKeys", summary: "Active keys of the account", auth: "session", answer: "ApiKeysAnswer", errors: ["KEYS_NOT_READ"] },
  { method: "delete", path: "/v1/keys/{id}", id: "revokeKey", summary: "Revoke a key", auth: "session", answer: "MessageAnswer", errors: oldKey },
]; // biome-ignore format: one operation after another

export const ACCOUNT_OPERATIONS: readonly Described[] = OPERATIONS.map(describeApi);

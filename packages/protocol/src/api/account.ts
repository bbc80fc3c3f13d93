/**
 * Requests and answers of `/api/auth/*` and `/v1/keys`: what validates is what is documented. Unknown request members are ignored.
 * Messages of refusals: `ACCOUNT_ERRORS`. Used by auth and the API document. Tests: services/auth/src/accounts.int.test.ts and its neighbours.
 */
import { z } from "zod";
import { KEY_FORMATS, type KeyPrefix } from "../keys.ts";
import { TokenUsage } from "../llm.ts";
import { SCOPES, WEBSOCKET_SCOPES } from "../scopes.ts";
import { KEY_TYPES } from "../visit-event.ts";

/** Refusals of accounts beside those of `API_ERRORS`: code → status and exact message. */
export const ACCOUNT_ERRORS = {
  CREDENTIALS_REQUIRED: { status: 400, message: "email and password required" },
  USER_EXISTS: { status: 400, message: "user already exists" },
  INVALID_EMAIL: { status: 400, message: "invalid email" },
  WEAK_PASSWORD: { status: 400, message: "password must be 8 to 1024 bytes" },
  WRONG_CURRENT_PASSWORD: { status: 400, message: "current password is incorrect" },
  INVALID_CODE: { status: 400, message: "invalid verification code" },
  TWO_FACTOR_ENABLED: { status: 400, message: "two-factor authentication already enabled" },
  INVALID_SESSION_ID: { status: 400, message: "invalid session id" },
  KEY_FIELDS_REQUIRED: { status: 400, message: "invalid payload: name and scopes required" },
  KEY_NAME_TOO_LONG: { status: 400, message: "invalid payload: name must be at most 100 characters" },
  KEY_EXPIRY_INVALID: { status: 400, message: "invalid payload: expiresAt must be a future time" },
  KEY_NAME_TAKEN: { status: 400, message: "API key with this name already exists" },
  INVALID_KEY_ID: { status: 400, message: "invalid API key ID" },
  WRONG_CREDENTIALS: { status: 401, message: "invalid email or password" },
  TWO_FACTOR_REQUIRED: { status: 401, message: "two-factor authentication required" },
  KEY_LIMIT_REACHED: { status: 403, message: "API key limit reached" },
  USER_NOT_FOUND: { status: 404, message: "User not found" },
  SESSION_NOT_FOUND: { status: 404, message: "session not found" },
  KEY_NOT_FOUND: { status: 404, message: "API key not found" },
  TOO_MANY_ATTEMPTS: { status: 429, message: "too many login attempts" },
  KEY_NOT_MADE: { status: 500, message: "failed to generate API key" },
  KEYS_NOT_READ: { status: 500, message: "failed to retrieve API keys" },
  KEY_NOT_REVOKED: { status: 500, message: "failed to revoke API key" },
} as const satisfies Record<string, { status: number; message: string }>;
export type AccountErrorCode = keyof typeof ACCOUNT_ERRORS;

export const MIN_PASSWORD_BYTES = 8;
export const MAX_PASSWORD_BYTES = 1_024;

/** Stored and shown: no control characters, no halves of a surrogate pair. */
const line = z.string().regex(/^[^\p{Cc}\p{Cs}]*$/u, "no control characters");
/** Anything but halves of a surrogate pair, which have no UTF-8 form. */
const secretText = z.string().regex(/^\P{Cs}*$/u, "not Unicode text");
const id = z.string().describe("24 hex characters");
const time = z.string().describe("RFC 3339, UTC");
const done = z.object({ success: z.literal(true) });

export const RegisterRequest = z.object({
  email: z.string().max(1_024).describe("Trimmed and lower-cased; at most 254 characters"),
  password: secretText.describe(`${MIN_PASSWORD_BYTES} to ${MAX_PASSWORD_BYTES} bytes of UTF-8`),
  name: line.max(100).optional(),
});

export const LoginRequest = z.object({
  email: z.string().max(1_024),
  password: secretText,
  totpToken: z.string().max(64).optional().describe("6 digits, or an unused backup code"),
});

export const ApiUser = z.object({
  _id: id,
  email: z.string(),
  name: z.string(),
  createdAt: time,
  lastLogin: time.optional(),
  tokenUsage: TokenUsage,
  twoFactorEnabled: z.boolean(),
});
export type ApiUser = z.infer<typeof ApiUser>;

/** Of register (201) and login (200). */
export const LoginAnswer = done.extend({ message: z.string(), token: z.string(), user: ApiUser });
export const MeAnswer = done.extend({ user: ApiUser });
export const TokenUsageAnswer = done.extend({ tokenUsage: TokenUsage });
export const DoneAnswer = done;
export const MessageAnswer = done.extend({ message: z.string() });

export const ChangePasswordRequest = z.object({ currentPassword: secretText, newPassword: secretText });

export const TwoFactorSetupAnswer = done.extend({
  data: z.object({ secret: z.string(), qrCodeUrl: z.string().describe("data:image/png;base64,…"), manualEntryKey: z.string() }),
});
/** A `secret` of the client is ignored: the one of setup counts. */
export const TwoFactorEnableRequest = z.object({ secret: z.string().max(256).optional(), token: z.string().max(64) });
/** One of both. */
export const TwoFactorDisableRequest = z.object({ token: z.string().max(64).optional(), password: secretText.optional() });
export const BackupCodesRequest = z.object({ token: z.string().max(64) });
export const BackupCodesAnswer = done.extend({ backupCodes: z.array(z.string()) });
export const BackupCodesStatusAnswer = done.extend({ unusedCount: z.number().int() });

export const ApiSession = z.object({
  _id: id,
  userId: id,
  userAgent: z.string().describe("Readable form, `Firefox on Linux`"),
  userAgentRaw: z.string(),
  ipAddress: z.string(),
  createdAt: time,
  lastActiveAt: time,
  isActive: z.boolean(),
  deviceName: z.literal("web"),
  deviceType: z.literal("browser"),
});
export type ApiSession = z.infer<typeof ApiSession>;
export const SessionsAnswer = done.extend({ sessions: z.array(ApiSession) });
export const TerminateOthersAnswer = done.extend({ terminatedCount: z.number().int() });

export const LoginActivity = z.object({
  _id: id,
  userId: id,
  ipAddress: z.string(),
  userAgent: z.string(),
  success: z.boolean(),
  timestamp: time,
});
export type LoginActivity = z.infer<typeof LoginActivity>;
export const LoginActivityAnswer = done.extend({ activities: z.array(LoginActivity) });

/** Message for a scope that is none; the text of the caller is cut. */
export function invalidScopeMessage(scope: string, valid: readonly string[] = WEBSOCKET_SCOPES): string {
  return `invalid scope: ${scope.slice(0, 100)}. Valid scopes: ${valid.join(", ")}`;
}

/** `POST /api/auth/api-keys`: always a `ts_live_` key with scopes of the socket. */
export const CreateApiKeyRequest = z.object({
  name: line.min(1).max(100),
  scopes: z.array(z.enum(WEBSOCKET_SCOPES)).min(1),
  expiresAt: time.optional(),
});

const prefixes = KEY_FORMATS.map((format) => format.prefix) as [KeyPrefix, ...KeyPrefix[]];
const Domain = z
  .string()
  .max(253)
  .regex(/^(\*|(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*)$/i, "a host name, *.host or *");

/** `POST /v1/keys`: a key of any prefix, with any scope that the plan includes. */
export const CreateKeyRequest = z.object({
  name: line.min(1).max(100),
  scopes: z.array(z.enum(SCOPES)).min(1),
  prefix: z.enum(prefixes).optional().describe("Default `cs_live_`"),
  type: z.enum(KEY_TYPES).optional().describe("Default `browser`"),
  domains: z.array(Domain).max(64).optional().describe("Empty = the domains of the tenant's sites"),
  expiresAt: time.optional(),
});

export const ApiKey = z.object({
  _id: z.string(),
  name: z.string(),
  prefix: z.string(),
  lastChars: z.string(),
  scopes: z.array(z.string()),
  isActive: z.boolean(),
  createdAt: time,
  expiresAt: time.optional(),
  lastUsedAt: time.optional(),
  /** `/v1/keys` only. */
  type: z.enum(KEY_TYPES).optional(),
  domains: z.array(z.string()).optional(),
});
export type ApiKey = z.infer<typeof ApiKey>;
export const CreateApiKeyAnswer = MessageAnswer.extend({ apiKey: ApiKey, key: z.string().describe("Shown once") });
export const ApiKeysAnswer = done.extend({ apiKeys: z.array(ApiKey) });

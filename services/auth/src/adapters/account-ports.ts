/** What the account routes work with, and the few things all of them do. Tests: ../accounts.int.test.ts. */
import { ApiError, type ApiErrorInit } from "@headwater/api-http";
import {
  ACCOUNT_ERRORS,
  type AccountErrorCode,
  type KeyRecord,
  type SealedBox,
  type SessionRecord,
  type SiteRecord,
  type TenantRecord,
} from "@headwater/protocol";
import { CannotUnseal, type Logger, type Sealer } from "@headwater/runtime";
import type { Request } from "express";
import { MAX_USER_AGENT } from "../domain/account-rules.ts";
import type { StoredKey } from "../domain/credential-table.ts";
import type { AccountKeyStore } from "./account-key-store.ts";
import type { AccountStore, StepUpProof, UserRow } from "./account-store.ts";
import type { LoginTokens } from "./login-tokens.ts";
import type { PasswordHasher } from "./passwords.ts";
import type { Origin, SessionStore } from "./session-store.ts";
import { totpStep } from "./totp.ts";
import type { TwoFactorStore } from "./two-factor-store.ts";
import type { UsageStore } from "./usage-store.ts";

export interface AccountChange {
  tenant?: TenantRecord;
  site?: SiteRecord;
  key?: StoredKey;
  revokedKeys?: readonly KeyRecord[];
  endedSessions?: readonly SessionRecord[];
}

export interface AccountPorts {
  accounts: AccountStore;
  sessions: SessionStore;
  twoFactor: TwoFactorStore;
  keys: AccountKeyStore;
  usage: UsageStore;
  hasher: PasswordHasher;
  tokens: LoginTokens;
  sealer: Sealer;
  now(): number;
  addressOf(req: Request): string;
  /** Called after each committed change, before the answer: memory and registry follow. */
  applied(change: AccountChange): Promise<void>;
  log: Logger;
}

/** An answer of ACCOUNT_ERRORS, to be thrown. */
export function refusal(code: AccountErrorCode, init: Omit<ApiErrorInit, "status"> = {}): ApiError {
  return new ApiError(code, { ...ACCOUNT_ERRORS[code], ...init });
}

export function tooManyAttempts(retryAfterMs: number): ApiError {
  return refusal("TOO_MANY_ATTEMPTS", { headers: { "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) } });
}

export function originOf(ports: Pick<AccountPorts, "addressOf">, req: Request): Origin {
  return { ipAddress: ports.addressOf(req), userAgent: (req.headers["user-agent"] ?? "").slice(0, MAX_USER_AGENT) };
}

/** @throws ApiError 404 `User not found` when the account behind a valid token is gone. */
export async function loadUser(ports: Pick<AccountPorts, "accounts">, userId: string): Promise<UserRow> {
  const user = await ports.accounts.load(userId);
  if (!user) throw refusal("USER_NOT_FOUND");
  return user;
}

/** Context of a sealed TOTP secret: a box of one account opens for no other. */
export function totpContext(userId: string): string {
  return `totp:${userId}`;
}

/** Undefined when it was sealed under another ENCRYPTION_KEY: no code is right then, backup codes still work. */
export function openTotpSecret(ports: Pick<AccountPorts, "sealer" | "log">, userId: string, box: SealedBox): string | undefined {
  try {
    return ports.sealer.unseal(box, totpContext(userId));
  } catch (error) {
    if (!(error instanceof CannotUnseal)) throw error;
    ports.log.error({ err: error, userId }, "auth.totp_secret_unreadable");
    return undefined;
  }
}

/** A code of the authenticator app; each works once. */
export async function isTotpRight(ports: AccountPorts, user: UserRow, code: string): Promise<boolean> {
  const secret = user.totpSecret && openTotpSecret(ports, user.id, user.totpSecret);
  if (!secret) return false;
  const step = totpStep(secret, code.trim(), ports.now());
  return step !== undefined && (await ports.twoFactor.useStep(user.id, step));
}

/** A code of the app or a backup code. */
export async function isSecondFactorRight(ports: AccountPorts, user: UserRow, code: string): Promise<boolean> {
  if (/^\s*\d{6}\s*$/.test(code)) return await isTotpRight(ports, user, code);
  return await ports.twoFactor.useBackupCode(user.id, code.replace(/[\s-]/g, "").toUpperCase());
}

/** Lets somebody who is logged in prove it again: as limited as logins are. @throws ApiError 429, or what `check` refuses with. */
export async function stepUp(ports: AccountPorts, userId: string, proof: StepUpProof, check: () => Promise<void>): Promise<void> {
  const attempt = await ports.accounts.beginStepUp(userId, proof);
  if (!attempt.ok) throw tooManyAttempts(attempt.retryAfterMs);
  await check();
  await ports.accounts.endStepUp(attempt);
}

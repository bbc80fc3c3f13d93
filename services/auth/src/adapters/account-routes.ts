/**
 * `/api/auth`: register, login, me, token-usage, logout, change-password. Login answers the same, and takes as long, whether or not an e-mail
 * is known. Tests: ../accounts.int.test.ts, ../login.int.test.ts.
 */
import { ApiError, type ApiShell, sessionOf } from "@headwater/api-http";
import { type ApiUser, ChangePasswordRequest, LoginRequest, RegisterRequest, type TokenUsage } from "@headwater/protocol";
import type { Request } from "express";
import { isEmail, isPasswordAllowed, isPasswordPossible, normalEmail } from "../domain/account-rules.ts";
import { type AccountPorts, isSecondFactorRight, loadUser, originOf, refusal, stepUp, tooManyAttempts } from "./account-ports.ts";
import type { OpenLogin, UserRow } from "./account-store.ts";
import { HashingBusy } from "./passwords.ts";

export function accountRoutes({ routes, session, json }: ApiShell, ports: AccountPorts): void {
  routes.post("/api/auth/register", json, async (req, res) => {
    const given = RegisterRequest.partial().parse(req.body);
    const email = normalEmail(given.email ?? "");
    const password = given.password ?? "";
    if (email === "" || password === "") throw refusal("CREDENTIALS_REQUIRED");
    if (!isEmail(email)) throw refusal("INVALID_EMAIL");
    if (!isPasswordAllowed(password)) throw refusal("WEAK_PASSWORD");
    // Spares the work of hashing; who is first is decided by the index.
    if (await ports.accounts.hasEmail(email)) throw refusal("USER_EXISTS");
    const passwordHash = await hashed(() => ports.hasher.hash(password));
    const made = await ports.accounts.register({ email, name: (given.name ?? "").trim(), passwordHash }, originOf(ports, req));
    if (!made) throw refusal("USER_EXISTS");
    await ports.applied({ tenant: made.tenant, site: made.site });
    ports.log.info({ userId: made.user.id, tenantId: made.tenant.id }, "auth.registered");
    const token = await tokenOf(ports, made.user, made.sessionId);
    res.status(201).json({ message: "User registered successfully", success: true, token, user: await viewOf(ports, made.user) });
  });

  routes.post("/api/auth/login", json, async (req, res) => {
    const given = LoginRequest.parse(req.body);
    const email = normalEmail(given.email);
    if (email === "" || given.password === "") throw new ApiError("INVALID_PAYLOAD");
    const login = await ports.accounts.beginLogin(email, originOf(ports, req));
    if ("retryAfterMs" in login) throw tooManyAttempts(login.retryAfterMs);
    const user = await provenUser(ports, login, given.password, given.totpToken);
    const done = await ports.accounts.finishLogin({ ...login, user }, originOf(ports, req));
    if (!done) throw wrongCredentials();
    if (done.ended.length > 0) await ports.applied({ endedSessions: done.ended });
    const token = await tokenOf(ports, done.user, done.sessionId);
    res.json({ message: "Login successful", success: true, token, user: await viewOf(ports, done.user) });
  });

  routes.get("/api/auth/me", session, async (req, res) => {
    res.json({ success: true, user: await viewOf(ports, await callerOf(ports, req)) });
  });

  routes.get("/api/auth/token-usage", session, async (req, res) => {
    res.json({ success: true, tokenUsage: await usageOf(ports, await callerOf(ports, req)) });
  });

  routes.post("/api/auth/logout", session, async (req, res) => {
    const { userId, sessionId } = sessionOf(req);
    const endedSessions = (await ports.sessions.end(userId, sessionId, "logout")) ?? [];
    await ports.applied({ endedSessions });
    res.json({ success: true, message: "Logout successful" });
  });

  routes.post("/api/auth/change-password", session, json, async (req, res) => {
    const given = ChangePasswordRequest.parse(req.body);
    const user = await callerOf(ports, req);
    if (!isPasswordAllowed(given.newPassword)) throw refusal("WEAK_PASSWORD");
    await stepUp(ports, user.id, "password", async () => {
      const current = isPasswordPossible(given.currentPassword) ? given.currentPassword : "";
      if (!(await hashed(() => ports.hasher.verify(user.passwordHash, current)))) throw refusal("WRONG_CURRENT_PASSWORD");
    });
    const passwordHash = await hashed(() => ports.hasher.hash(given.newPassword));
    const endedSessions = await ports.accounts.changePassword(user, passwordHash, sessionOf(req).sessionId);
    if (!endedSessions) throw new ApiError("CONFLICT");
    await ports.applied({ endedSessions });
    ports.log.info({ userId: user.id, endedSessions: endedSessions.length }, "auth.password_changed");
    res.json({ success: true });
  });
}

/** @throws ApiError 401 in every case but one, and always after the same work. */
async function provenUser(ports: AccountPorts, login: OpenLogin, password: string, code: string | undefined): Promise<UserRow> {
  const { user } = login;
  let isRight: boolean;
  try {
    isRight = await hashed(() => ports.hasher.verify(user?.passwordHash, isPasswordPossible(password) ? password : ""));
  } catch (error) {
    // Nothing was compared: a flood of logins must not lock accounts that way.
    await ports.accounts.takeBackLogin(login);
    throw error;
  }
  if (!user || !isRight) throw wrongCredentials();
  if (!user.totpSecret) return user;
  if (code === undefined || code.trim() === "") {
    await ports.accounts.takeBackLogin(login);
    throw refusal("TWO_FACTOR_REQUIRED", { fields: { requiresTwoFactor: true } });
  }
  if (!(await isSecondFactorRight(ports, user, code))) throw refusal("TWO_FACTOR_REQUIRED", { fields: { requiresTwoFactor: true } });
  return user;
}

function wrongCredentials(): ApiError {
  return refusal("WRONG_CREDENTIALS", { fields: { requiresTwoFactor: false } });
}

export async function hashed<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof HashingBusy) throw new ApiError("SERVICE_UNAVAILABLE", { headers: { "Retry-After": "1" } }, { cause: error });
    throw error;
  }
}

async function callerOf(ports: AccountPorts, req: Request): Promise<UserRow> {
  return await loadUser(ports, sessionOf(req).userId);
}

async function tokenOf(ports: AccountPorts, user: UserRow, sid: string): Promise<string> {
  return await ports.tokens.sign({ userId: user.id, email: user.email, username: user.name, sid, tid: user.tenantId }, ports.now());
}

async function usageOf(ports: AccountPorts, user: UserRow): Promise<TokenUsage> {
  const usage = await ports.usage.usage(user.tenantId);
  if (!usage) throw refusal("USER_NOT_FOUND");
  return usage;
}

/** Field by field, so that no column added later can leave by accident. */
async function viewOf(ports: AccountPorts, user: UserRow): Promise<ApiUser> {
  return {
    _id: user.id,
    email: user.email,
    name: user.name,
    createdAt: user.createdAt.toISOString(),
    ...(user.lastLoginAt ? { lastLogin: user.lastLoginAt.toISOString() } : {}),
    tokenUsage: await usageOf(ports, user),
    twoFactorEnabled: user.totpSecret !== null,
  };
}

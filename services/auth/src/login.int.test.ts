/** Login, lockout and second factors with real PostgreSQL and NATS; every error row by status and message. */
import { collectingLogger, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Account, type AuthFixture, startAuthFixture } from "./testing/auth-fixture.ts";

let auth: AuthFixture;
const logged = collectingLogger();
beforeAll(async () => {
  auth = await startAuthFixture({
    databaseUrl: inject("databaseUrl"),
    instances: 2,
    log: logged.log,
    env: { TOKEN_QUOTA_PER_MONTH: "12345" },
  });
}, 60_000);
afterAll(() => auth?.stop(), 60_000);

const message = (answer: { status: number; body: Record<string, unknown> }): unknown[] => [answer.status, answer.body["message"]];
const LOGIN = "/api/auth/login";

describe("login", () => {
  it("answers like register, with the time of this login", async () => {
    const account = await auth.register();
    const answer = await auth.login({ ...account, email: ` ${account.email.toUpperCase()} ` });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      message: "Login successful", success: true, token: expect.any(String),
      user: {
        _id: account.userId, email: account.email, lastLogin: expect.any(String), twoFactorEnabled: false,
        // TOKEN_QUOTA_PER_MONTH
        tokenUsage: { limit: 12_345 },
      },
    }); // biome-ignore format: one literal
    expect(answer.headers.get("cache-control")).toContain("no-store");
  });

  it.each([
    ["no JSON", "{"],
    ["a list", "[]"],
    ["no password", { email: "a@example.com" }],
    ["no e-mail", { password: "SecurePassword123!" }],
    ["an empty password", { email: "a@example.com", password: "" }],
    ["an object as e-mail", { email: { $gt: "" }, password: "SecurePassword123!" }],
    ["a number as code", { email: "a@example.com", password: "SecurePassword123!", totpToken: 123456 }],
  ])("%s is an invalid payload", async (_name, body) => {
    expect(message(await auth.call("POST", LOGIN, { body }))).toEqual([400, "invalid payload"]);
  });

  it("answers a wrong password and an unknown e-mail alike, byte for byte (W38)", async () => {
    const account = await auth.register();
    const wrong = await auth.login({ ...account, password: "wrong-password" });
    const answers = [wrong];
    for (const email of ["nobody@example.com", "no address", "nul\u0000@example.com", "a".repeat(300)]) {
      answers.push(await auth.login({ email, password: "wrong-password" }));
    }
    for (const { status, body } of answers) {
      expect([status, body]).toEqual([401, wrong.body]);
    }
    expect(wrong.body).toEqual({
      success: false,
      message: "invalid email or password",
      requiresTwoFactor: false,
      code: "WRONG_CREDENTIALS",
    });
    expect(message(await auth.login({ ...account, password: "x".repeat(5_000) }))).toEqual([401, "invalid email or password"]);
  });
});

describe("lockout", () => {
  const guess = (email: string, at = 0) => auth.login({ email, password: "wrong-password" }, undefined, at);

  it.each(["known", "unknown"])("counts guesses at a %s e-mail over all instances, also parallel ones", async (kind) => {
    const account = kind === "known" ? await auth.register() : { email: "ghost@example.com", password: "Whatever-123" };
    const guesses = await Promise.all(Array.from({ length: 16 }, (_, i) => guess(account.email, i % 2)));
    expect(guesses.filter(({ status }) => status === 401).length).toBe(10);
    const locked = guesses.filter(({ status }) => status === 429);
    expect(locked.length).toBe(6);
    expect(locked[0]?.body).toEqual({ success: false, message: "too many login attempts", code: "TOO_MANY_ATTEMPTS" });
    const retryAfter = Number(locked[0]?.headers.get("retry-after"));
    expect(retryAfter).toBeGreaterThan(14 * 60);
    expect(retryAfter).toBeLessThanOrEqual(15 * 60);
    // Also the right password, in any spelling of the e-mail.
    expect((await auth.login({ ...account, email: account.email.toUpperCase() })).status).toBe(429);
  });

  it("ends fifteen minutes later, and a login forgets failures", async () => {
    const account = await auth.register();
    for (let i = 0; i < 10; i++) await guess(account.email);
    expect((await auth.login(account)).status).toBe(429);
    auth.clock.advance(15 * 60_000 + 1_000);
    expect((await auth.login(account)).status).toBe(200);
    for (let i = 0; i < 9; i++) await guess(account.email);
    expect((await auth.login(account)).status).toBe(200);
    for (let i = 0; i < 9; i++) expect((await guess(account.email)).status).toBe(401);
    expect((await auth.login(account)).status).toBe(200);
  });
});

async function withTwoFactor(): Promise<Account & { secret: string; codes: string[] }> {
  const account = await auth.register();
  const setup = await auth.call("POST", "/api/auth/2fa/setup", { token: account.token });
  const { secret } = setup.body["data"] as { secret: string };
  const enabled = await auth.call("POST", "/api/auth/2fa/enable", { token: account.token, body: { secret, token: auth.totp(secret) } });
  expect(enabled.status).toBe(200);
  // The step of the code is used: the next one is another.
  auth.clock.advance(60_000);
  return { ...account, secret, codes: enabled.body["backupCodes"] as string[] };
}

describe("second factor", () => {
  const post = (path: string, token: string, body?: unknown) =>
    auth.call("POST", `/api/auth/2fa/${path}`, { token, ...(body === undefined ? {} : { body }) });

  it("is set up with a secret that stays with the server, and enabled by a code of it", async () => {
    const { token } = await auth.register();
    expect(message(await post("enable", token, { token: "123456" }))).toEqual([400, "invalid verification code"]);
    const setup = await post("setup", token);
    const data = setup.body["data"] as { secret: string; qrCodeUrl: string; manualEntryKey: string };
    expect(setup.body).toEqual({
      success: true,
      data: { secret: expect.stringMatching(/^[A-Z2-7]{32}$/), qrCodeUrl: expect.any(String), manualEntryKey: data.secret },
    });
    expect(data.qrCodeUrl).toMatch(/^data:image\/png;base64,[A-Za-z0-9+/=]{200,}$/);
    expect(message(await post("enable", token, {}))).toEqual([400, "invalid payload"]);
    expect(message(await post("enable", token, { token: 123456 }))).toEqual([400, "invalid payload"]);
    expect(message(await post("enable", token, { token: "000" }))).toEqual([400, "invalid verification code"]);
    // W4: a secret that the client chose is of no use.
    const chosen = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    expect(message(await post("enable", token, { secret: chosen, token: auth.totp(chosen) }))).toEqual([400, "invalid verification code"]);
    const enabled = await post("enable", token, { secret: chosen, token: auth.totp(data.secret) });
    const codes = enabled.body["backupCodes"] as string[];
    expect([enabled.status, codes.length, new Set(codes).size]).toEqual([200, 10, 10]);
    for (const code of codes) expect(code).toMatch(/^[A-Z0-9]{8}$/);
    expect(message(await post("setup", token))).toEqual([400, "two-factor authentication already enabled"]);
    expect((await auth.call("GET", "/api/auth/me", { token })).body["user"]).toMatchObject({ twoFactorEnabled: true });
  });

  it("is asked for at login, and a code works once, also on another instance", async () => {
    const account = await withTwoFactor();
    // At the beginning of a step: the code of the one after next must stay that.
    auth.clock.advance(30_000 - (auth.clock.now() % 30_000));
    const asked = await auth.login(account);
    expect([asked.status, asked.body]).toEqual([
      401,
      { success: false, message: "two-factor authentication required", requiresTwoFactor: true, code: "TWO_FACTOR_REQUIRED" },
    ]);
    expect(message(await auth.login(account, "000000"))).toEqual([401, "two-factor authentication required"]);
    // A wrong password is told before the second factor is looked at, like that of an account without one.
    expect((await auth.login({ ...account, password: "wrong-password" }, auth.totp(account.secret))).body["requiresTwoFactor"]).toBe(false);
    const code = auth.totp(account.secret);
    const both = await Promise.all([0, 1, 0, 1].map((at) => auth.login(account, code, at)));
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 401, 401, 401]);
    expect((await auth.login(account, auth.totp(account.secret, -1))).status).toBe(401);
    expect((await auth.login(account, auth.totp(account.secret, 1))).status).toBe(200);
    expect((await auth.login(account, auth.totp(account.secret, 2))).status).toBe(401);
  });

  it("locks after ten wrong codes, but not for asking without one", async () => {
    const account = await withTwoFactor();
    for (let i = 0; i < 12; i++) expect((await auth.login(account)).status).toBe(401);
    for (let i = 0; i < 10; i++) expect((await auth.login(account, "000000")).status).toBe(401);
    expect(message(await auth.login(account, auth.totp(account.secret)))).toEqual([429, "too many login attempts"]);
  });

  it("takes each backup code once, and none of those that were replaced", async () => {
    const account = await withTwoFactor();
    const [first = "", second = "", third = ""] = account.codes;
    const unused = async (): Promise<unknown> =>
      (await auth.call("GET", "/api/auth/2fa/backup-codes/status", { token: account.token })).body;
    expect(await unused()).toEqual({ success: true, unusedCount: 10 });
    const both = await Promise.all([0, 1].map((at) => auth.login(account, first.toLowerCase(), at)));
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 401]);
    expect(await unused()).toEqual({ success: true, unusedCount: 9 });
    expect(message(await post("backup-codes/regenerate", account.token, { token: "000000" }))).toEqual([400, "invalid verification code"]);
    expect(message(await post("backup-codes/regenerate", account.token, { token: third }))).toEqual([400, "invalid verification code"]);
    expect(message(await post("backup-codes/regenerate", account.token, {}))).toEqual([400, "invalid payload"]);
    const again = await post("backup-codes/regenerate", account.token, { token: auth.totp(account.secret) });
    expect((again.body["backupCodes"] as string[]).length).toBe(10);
    expect((await auth.login(account, second)).status).toBe(401);
    expect((await auth.login(account, (again.body["backupCodes"] as string[])[0])).status).toBe(200);
  });

  it("is disabled by a code or the password, never by the token alone", async () => {
    const account = await withTwoFactor();
    for (const body of [{}, { token: "000000" }, { password: "wrong-password" }, { password: account.email }]) {
      expect(message(await post("disable", account.token, body))).toEqual([400, "invalid verification code"]);
    }
    expect(message(await post("disable", account.token, { password: 5 }))).toEqual([400, "invalid payload"]);
    expect((await auth.login(account)).status).toBe(401);
    expect((await post("disable", account.token, { token: auth.totp(account.secret) })).body).toEqual({ success: true });
    expect((await auth.login(account)).status).toBe(200);
    expect((await auth.call("GET", "/api/auth/2fa/backup-codes/status", { token: account.token })).body).toMatchObject({ unusedCount: 0 });
    const other = await withTwoFactor();
    expect((await post("disable", other.token, { password: other.password })).body).toEqual({ success: true });
  });

  it("does not let a stolen token guess codes", async () => {
    const account = await withTwoFactor();
    for (let i = 0; i < 10; i++) await post("disable", account.token, { token: "000000" });
    const right = { token: auth.totp(account.secret) };
    expect(message(await post("disable", account.token, right))).toEqual([429, "too many login attempts"]);
    expect(message(await post("backup-codes/regenerate", account.token, right))).toEqual([429, "too many login attempts"]);
  });

  it("does not let a stolen token forget wrong passwords by a second factor of its own", async () => {
    const account = await auth.register();
    const guess = () =>
      auth.call("POST", "/api/auth/change-password", {
        token: account.token,
        body: { currentPassword: "wrong-password", newPassword: "Another-One-1" },
      });
    for (let i = 0; i < 10; i++) expect((await guess()).status).toBe(400);
    expect((await guess()).status).toBe(429);
    const { secret } = (await post("setup", account.token)).body["data"] as { secret: string };
    expect((await post("enable", account.token, { token: auth.totp(secret) })).status).toBe(200);
    expect((await post("backup-codes/regenerate", account.token, { token: auth.totp(secret, 1) })).status).toBe(200);
    expect((await guess()).status).toBe(429);
    expect(message(await post("disable", account.token, { password: account.password }))).toEqual([429, "too many login attempts"]);
  });

  it("is enabled once when several ask, and by no code of a secret that was replaced", async () => {
    const { token } = await auth.register();
    const secretOf = async (): Promise<string> => ((await post("setup", token)).body["data"] as { secret: string }).secret;
    const first = await secretOf();
    const second = await secretOf();
    expect(message(await post("enable", token, { token: auth.totp(first) }))).toEqual([400, "invalid verification code"]);
    const code = auth.totp(second);
    const all = await Promise.all(Array.from({ length: 4 }, () => post("enable", token, { token: code })));
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, 400, 400, 400]);
  });

  it("cannot be read under another key, and then only backup codes work", async () => {
    const account = await withTwoFactor();
    const other = await withTwoFactor();
    // The box of another account stands for one of another key: both do not open.
    await auth.sql("UPDATE auth.users SET totp_secret = (SELECT totp_secret FROM auth.users WHERE id = $2) WHERE id = $1", [
      account.userId,
      other.userId,
    ]);
    expect(message(await auth.login(account, auth.totp(other.secret)))).toEqual([401, "two-factor authentication required"]);
    expect((await auth.login(account, account.codes[0])).status).toBe(200);
    expect(logged.messages()).toContain("auth.totp_secret_unreadable");
  });

  it("leaves nothing secret in answers, tables or logs (W4)", async () => {
    const account = await withTwoFactor();
    const login = await auth.login(account, account.codes[0]);
    const me = await auth.call("GET", "/api/auth/me", { token: account.token });
    const secrets = [account.secret, account.password, account.token, ...account.codes];
    for (const answer of [me.body, { ...login.body, token: "" }]) {
      const text = JSON.stringify(answer);
      for (const secret of secrets) expect(text).not.toContain(secret);
      expect(text).not.toMatch(/argon2|totp|backup|hash/i);
    }
    const dump = await auth.dump();
    for (const secret of secrets) expect(dump).not.toContain(secret);
    expect(dump).toContain("$argon2id$v=19$m=19456,t=2,p=1$");
    await until("something was logged", () => logged.lines().length > 0);
    const log = JSON.stringify(logged.lines());
    for (const secret of [...secrets, account.email]) expect(log).not.toContain(secret);
  });
});

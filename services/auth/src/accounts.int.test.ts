/** Registration, sessions and revocation on two auth instances with real PostgreSQL and NATS; every error row by status and message. */
import { callService, createCredentialClient, lastMessage, openNats } from "@headwater/messaging";
import { subjects } from "@headwater/protocol";
import { startNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAuthConfig } from "./config.ts";
import { startAuth } from "./service.ts";
import { type AuthFixture, startAuthFixture } from "./testing/auth-fixture.ts";

let auth: AuthFixture;
beforeAll(async () => {
  auth = await startAuthFixture({ instances: 2 });
}, 60_000);
afterAll(() => auth?.stop(), 60_000);

const message = (answer: { status: number; body: Record<string, unknown> }): unknown[] => [answer.status, answer.body["message"]];
const REGISTER = "/api/auth/register";

describe("register", () => {
  it("makes an account with a token that works, and shows nothing secret", async () => {
    const made = await auth.call("POST", REGISTER, {
      body: { email: "  Dev@Example.COM ", password: "SecurePassword123!", name: "Dev One" },
    });
    expect(made.status).toBe(201);
    const user = made.body["user"] as Record<string, unknown>;
    expect(made.body).toEqual({ message: "User registered successfully", success: true, token: expect.any(String), user });
    const month = new Date(auth.clock.now()).toISOString().slice(0, 7);
    expect(user).toEqual({
      _id: expect.stringMatching(/^[0-9a-f]{24}$/),
      email: "dev@example.com",
      name: "Dev One",
      createdAt: expect.stringMatching(/Z$/),
      tokenUsage: { currentMonth: month, tokensUsed: 0, limit: 1_000_000, lastResetDate: user["createdAt"], overdraftAllowed: true },
      twoFactorEnabled: false,
    });
    const me = await auth.call("GET", "/api/auth/me", { token: String(made.body["token"]), at: 1 });
    expect(me).toMatchObject({ status: 200, body: { success: true, user: { _id: user["_id"], email: "dev@example.com" } } });
    const claims = JSON.parse(Buffer.from(String(made.body["token"]).split(".")[1] ?? "", "base64url").toString()) as Record<
      string,
      unknown
    >;
    expect(claims).toMatchObject({ userId: user["_id"], email: "dev@example.com", username: "Dev One" });
    expect(Number(claims["exp"]) - Number(claims["iat"])).toBe(7 * 24 * 3_600);
  });

  it("makes the account's tenant on the free plan with a site, and keeps the e-mail out of the registry", async () => {
    const account = await auth.register("Owner");
    const session = await auth.session(account.token);
    expect(session).toMatchObject({ ok: true, session: { userId: account.userId, plan: "free", tenantSlug: `acct-${account.userId}` } });
    const { tenantId } = (session as { session: { tenantId: string } }).session;
    await until("the registry has the tenant", () => auth.registry.get("tenant", tenantId) !== undefined);
    expect(auth.registry.get("tenant", tenantId)?.data).toMatchObject({ name: "Owner", ownerId: account.userId });
    await until("and its site", () => auth.registry.list("site").some(({ data }) => (data as { tenantId: string }).tenantId === tenantId));
    expect(JSON.stringify([auth.registry.list("tenant"), auth.registry.list("site")])).not.toContain("@example.com");
  });

  it.each([
    ["no JSON", "{", 400, "invalid payload"],
    ["an array", [], 400, "invalid payload"],
    ["a number as e-mail", { email: 5, password: "SecurePassword123!" }, 400, "invalid payload"],
    ["null as name", { email: "a@example.com", password: "SecurePassword123!", name: null }, 400, "invalid payload"],
    ["a name of 101 characters", { email: "a@example.com", password: "SecurePassword123!", name: "x".repeat(101) }, 400, "invalid payload"],
    ["a name with NUL", { email: "a@example.com", password: "SecurePassword123!", name: "a\u0000" }, 400, "invalid payload"],
    ["half a surrogate pair in the password", '{"email":"a@example.com","password":"abcdefgh\\ud800"}', 400, "invalid payload"],
    ["no body", undefined, 400, "email and password required"],
    ["no e-mail", { password: "SecurePassword123!" }, 400, "email and password required"],
    ["a blank e-mail", { email: "  ", password: "SecurePassword123!" }, 400, "email and password required"],
    ["no password", { email: "a@example.com" }, 400, "email and password required"],
    ["an e-mail without @", { email: "nobody", password: "SecurePassword123!" }, 400, "invalid email"],
    ["an e-mail with NUL", { email: "a\u0000@example.com", password: "SecurePassword123!" }, 400, "invalid email"],
    ["an e-mail of 255 characters", { email: `${"a".repeat(243)}@example.com`, password: "SecurePassword123!" }, 400, "invalid email"],
    ["a short password", { email: "a@example.com", password: "1234567" }, 400, "password must be 8 to 1024 bytes"],
    ["an endless password", { email: "a@example.com", password: "x".repeat(1_025) }, 400, "password must be 8 to 1024 bytes"],
    ["2 MiB", { email: "a@example.com", password: "x".repeat(2_000_000) }, 413, "payload too large"],
  ])("%s", async (_name, body, status, text) => {
    const answer = await auth.call("POST", REGISTER, body === undefined ? {} : { body });
    expect(message(answer)).toEqual([status, text]);
    expect(answer.body).toMatchObject({ success: false, code: expect.any(String) });
  });

  it("knows an e-mail in any letter case, and takes passwords longer than 72 bytes whole", async () => {
    const account = await auth.register();
    const again = await auth.call("POST", REGISTER, { body: { ...account, email: account.email.toUpperCase() } });
    expect(message(again)).toEqual([400, "user already exists"]);
    const long = { email: "long@example.com", password: `${"ä".repeat(80)}1` };
    expect((await auth.call("POST", REGISTER, { body: long })).status).toBe(201);
    expect((await auth.login({ ...long, password: `${"ä".repeat(80)}2` })).status).toBe(401);
    expect((await auth.login(long)).status).toBe(200);
  });

  it("takes one of many at once on two instances (W30)", async () => {
    const body = { email: "race@example.com", password: "SecurePassword123!" };
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => auth.call("POST", REGISTER, { body, at: i % 2 })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array<number>(9).fill(400)]);
    expect(new Set(answers.filter(({ status }) => status === 400).map(({ body: b }) => b["message"]))).toEqual(
      new Set(["user already exists"]),
    );
    const left = await auth.sql("SELECT 1 FROM auth.tenants WHERE owner_id NOT IN (SELECT id FROM auth.users)");
    expect(left).toEqual([]);
  });

  it("assigns nothing that is not the caller's to assign", async () => {
    const email = "mass@example.com";
    const body = `{"email":"${email}","password":"SecurePassword123!","_id":"${"0".repeat(24)}","plan":"custom","twoFactorEnabled":true,"__proto__":{"plan":"custom"}}`;
    const made = await auth.call("POST", REGISTER, { body });
    expect(made.body["user"]).toMatchObject({ email, name: "", twoFactorEnabled: false });
    expect(await auth.session(String(made.body["token"]))).toMatchObject({ session: { plan: "free" } });
  });
});

describe("a token", () => {
  const protectedRoutes = [
    ["GET", "/api/auth/me"],
    ["GET", "/api/auth/token-usage"],
    ["POST", "/api/auth/logout"],
    ["POST", "/api/auth/change-password"],
    ["POST", "/api/auth/2fa/setup"],
    ["POST", "/api/auth/2fa/enable"],
    ["POST", "/api/auth/2fa/disable"],
    ["GET", "/api/auth/2fa/backup-codes/status"],
    ["POST", "/api/auth/2fa/backup-codes/regenerate"],
    ["GET", "/api/auth/sessions"],
    ["DELETE", `/api/auth/sessions/${"0".repeat(24)}`],
    ["POST", "/api/auth/sessions/terminate-others"],
    ["GET", "/api/auth/login-activity"],
    ["POST", "/api/auth/api-keys"],
    ["GET", "/api/auth/api-keys"],
    ["DELETE", `/api/auth/api-keys/${"0".repeat(24)}`],
    ["POST", "/v1/keys"],
    ["GET", "/v1/keys"],
    ["DELETE", `/v1/keys/${"0".repeat(24)}`],
  ] as const;
  it.each(protectedRoutes)("is needed for %s %s", async (method, path) => {
    expect(message(await auth.call(method, path))).toEqual([401, "missing token"]);
    expect(message(await auth.call(method, path, { headers: { Authorization: "Basic abc" } }))).toEqual([401, "missing token"]);
    expect(message(await auth.call(method, path, { token: "nonsense" }))).toEqual([401, "invalid token"]);
  });

  it("works with any case of the scheme, and not after seven days", async () => {
    const { token } = await auth.register();
    expect((await auth.call("GET", "/api/auth/me", { headers: { Authorization: `bEaReR ${token}` } })).status).toBe(200);
    auth.clock.advance(7 * 24 * 3_600_000 + 2_000);
    expect(message(await auth.call("GET", "/api/auth/me", { token }))).toEqual([401, "invalid token"]);
  });

  it("of an account that is gone finds no user", async () => {
    const { token, userId } = await auth.register();
    await auth.sql("DELETE FROM auth.users WHERE id = $1", [userId]);
    expect(message(await auth.call("GET", "/api/auth/me", { token }))).toEqual([404, "User not found"]);
    expect(message(await auth.call("GET", "/api/auth/token-usage", { token }))).toEqual([404, "User not found"]);
  });

  it("opens no route that is not there", async () => {
    const { token } = await auth.register();
    expect(message(await auth.call("GET", "/api/auth/nothing", { token }))).toEqual([404, "route not found"]);
    expect(message(await auth.call("GET", "/api/nothing"))).toEqual([404, "route not found"]);
  });
});

describe("sessions (W23)", () => {
  it("end by logout at every instance, in the registry, and in a client's cache", async () => {
    const account = await auth.register();
    const client = createCredentialClient(auth.nats, auth.registry, { clock: auth.clock, log: auth.deps.log });
    expect(await client.verifySession(account.token)).toMatchObject({ ok: true });
    const { sessionId } = ((await auth.session(account.token)) as { session: { sessionId: string } }).session;
    const out = await auth.call("POST", "/api/auth/logout", { token: account.token });
    expect(out).toMatchObject({ status: 200, body: { success: true, message: "Logout successful" } });
    expect(message(await auth.call("GET", "/api/auth/me", { token: account.token }))).toEqual([401, "invalid token"]);
    await until(
      "the other instance knows",
      async () => (await auth.call("GET", "/api/auth/me", { token: account.token, at: 1 })).status === 401,
    );
    await until("the client knows", async () => !(await client.verifySession(account.token)).ok);
    client.stop();
    expect(auth.registry.get("session", sessionId)?.data).toMatchObject({ id: sessionId, userId: account.userId, reason: "logout" });
    const stored = await lastMessage(auth.nats, "REGISTRY", subjects.registry("session", sessionId));
    const ttl = Number(/^(\d+)s$/.exec(stored?.header("Nats-TTL") ?? "")?.[1]);
    expect(ttl).toBeGreaterThan(7 * 24 * 3_600 - 60);
    expect(ttl).toBeLessThanOrEqual(7 * 24 * 3_600);
  });

  it("are listed with where they come from, and ended one by one or all but one's own", async () => {
    const account = await auth.register();
    const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    const second = await auth.call("POST", "/api/auth/login", {
      body: { email: account.email, password: account.password },
      headers: { "User-Agent": firefox, "X-Forwarded-For": "198.51.100.7" },
    });
    const third = await auth.login(account);
    const [tokenB, tokenC] = [String(second.body["token"]), String(third.body["token"])];
    const list = async (): Promise<Record<string, unknown>[]> =>
      (await auth.call("GET", "/api/auth/sessions", { token: account.token })).body["sessions"] as Record<string, unknown>[];
    const sessions = await list();
    expect(sessions.length).toBe(3);
    const mine = sessions.find((session) => session["userAgentRaw"] === firefox) ?? {};
    expect(mine).toEqual({
      _id: expect.stringMatching(/^[0-9a-f]{24}$/), userId: account.userId, userAgent: "Firefox on Linux", userAgentRaw: firefox,
      // Nobody here is a trusted proxy.
      ipAddress: "127.0.0.1",
      createdAt: expect.any(String), lastActiveAt: expect.any(String), isActive: true, deviceName: "web", deviceType: "browser",
    }); // biome-ignore format: one literal
    const path = (id: unknown): string => `/api/auth/sessions/${String(id)}`;
    expect(message(await auth.call("DELETE", path("short"), { token: account.token }))).toEqual([400, "invalid session id"]);
    expect(message(await auth.call("DELETE", path("0".repeat(24)), { token: account.token }))).toEqual([404, "session not found"]);
    const stranger = await auth.register();
    expect(message(await auth.call("DELETE", path(mine["_id"]), { token: stranger.token }))).toEqual([404, "session not found"]);
    expect((await auth.call("DELETE", path(mine["_id"]), { token: account.token })).body).toEqual({ success: true });
    expect((await auth.call("DELETE", path(mine["_id"]), { token: account.token })).status).toBe(200);
    expect((await auth.call("GET", "/api/auth/me", { token: tokenB })).status).toBe(401);
    expect((await auth.call("GET", "/api/auth/me", { token: tokenC })).status).toBe(200);
    const others = await auth.call("POST", "/api/auth/sessions/terminate-others", { token: account.token });
    expect(others.body).toEqual({ success: true, terminatedCount: 1 });
    expect((await auth.call("GET", "/api/auth/me", { token: tokenC })).status).toBe(401);
    expect((await list()).length).toBe(1);
  });

  it("show when they were last used", async () => {
    const account = await auth.register();
    const lastActive = async (): Promise<string> => {
      const { body } = await auth.call("GET", "/api/auth/sessions", { token: account.token });
      return (body["sessions"] as { lastActiveAt: string }[])[0]?.lastActiveAt ?? "";
    };
    const before = await lastActive();
    await until("a later use is written", async () => (await lastActive()) > before);
  });

  it("end when the password changes, but for the one that changed it; the old password is void", async () => {
    const account = await auth.register();
    const other = String((await auth.login(account)).body["token"]);
    const change = (body: unknown) => auth.call("POST", "/api/auth/change-password", { token: account.token, body });
    expect(message(await change({ currentPassword: account.password }))).toEqual([400, "invalid payload"]);
    expect(message(await change({ currentPassword: "wrong-password", newPassword: "Another-One-1" }))).toEqual([
      400,
      "current password is incorrect",
    ]);
    expect(message(await change({ currentPassword: account.password, newPassword: "short" }))).toEqual([
      400,
      "password must be 8 to 1024 bytes",
    ]);
    expect((await auth.call("GET", "/api/auth/me", { token: other })).status).toBe(200);
    const changed = await change({ currentPassword: account.password, newPassword: "Another-One-1" });
    expect([changed.status, changed.body]).toEqual([200, { success: true }]);
    expect(message(await auth.call("GET", "/api/auth/me", { token: other }))).toEqual([401, "invalid token"]);
    expect((await auth.call("GET", "/api/auth/me", { token: account.token })).status).toBe(200);
    expect((await auth.login(account)).status).toBe(401);
    expect((await auth.login({ ...account, password: "Another-One-1" })).status).toBe(200);
    // The current password is not guessed here either.
    for (let i = 0; i < 10; i++) await change({ currentPassword: "wrong-password", newPassword: "Another-One-2" });
    expect(message(await change({ currentPassword: "Another-One-1", newPassword: "Another-One-2" }))).toEqual([
      429,
      "too many login attempts",
    ]);
  });

  it("are two hundred at most: one more ends the oldest", async () => {
    const account = await auth.register();
    await auth.sql(
      `INSERT INTO auth.sessions (id, user_id, tenant_id, user_agent, ip_address, created_at, last_active_at, expires_at)
       SELECT lpad(to_hex(n), 24, '0'), user_id, tenant_id, '', '', created_at + n * interval '1 ms', last_active_at, expires_at
       FROM auth.sessions, generate_series(1, 199) n WHERE user_id = $1`,
      [account.userId],
    );
    expect((await auth.login(account)).status).toBe(200);
    expect((await auth.call("GET", "/api/auth/me", { token: account.token })).status).toBe(401);
  });
});

it("lists login activity newest first, with failures", async () => {
  const account = await auth.register();
  for (let i = 0; i < 11; i++) await auth.login(i === 9 ? { ...account, password: "wrong-password" } : account);
  const activities = async (query: string): Promise<Record<string, unknown>[]> =>
    (await auth.call("GET", `/api/auth/login-activity${query}`, { token: account.token })).body["activities"] as Record<string, unknown>[];
  const ten = await activities("");
  expect(ten.map((row) => row["success"])).toEqual([true, false, ...Array<boolean>(8).fill(true)]);
  expect(ten[0]).toEqual({
    _id: expect.any(String),
    userId: account.userId,
    ipAddress: "127.0.0.1",
    userAgent: expect.any(String),
    success: true,
    timestamp: expect.any(String),
  });
  for (const bad of ["?limit=x", "?limit=0", "?limit=-3", "?limit=1.5", "?limit="]) expect((await activities(bad)).length).toBe(10);
  expect((await activities("?limit=2")).length).toBe(2);
  expect((await activities("?limit=999")).length).toBe(11);
});

it("keeps ended sessions ended after a restart with an empty memory and a registry that lost its store", async () => {
  const account = await auth.register();
  await auth.call("POST", "/api/auth/logout", { token: account.token });
  const { sid } = JSON.parse(Buffer.from(account.token.split(".")[1] ?? "", "base64url").toString()) as { sid: string };
  const fresh = await startNats();
  const third = await startAuth(parseAuthConfig({}), { ...auth.deps, natsUrl: fresh.url, instanceId: "auth-9" });
  const nats = await openNats({ url: fresh.url, name: "test", log: auth.deps.log });
  try {
    expect(await callService(nats, "auth", "session", { token: account.token })).toEqual({ ok: false, code: "invalid" });
    await third.settled();
    const told = await lastMessage(nats, "REGISTRY", subjects.registry("session", sid));
    expect(JSON.parse(new TextDecoder().decode(told?.data))).toMatchObject({ data: { id: sid, userId: account.userId, reason: "logout" } });
  } finally {
    await nats.drain();
    await third.stop();
    await fresh.stop();
  }
});

it("answers 503 while the database is away, and goes on checking tokens from memory", async () => {
  const account = await auth.register();
  expect(await auth.session(account.token)).toMatchObject({ ok: true });
  auth.killDatabase();
  // The test's PostgreSQL gives up durability, so its kill may cost the newest accounts: a new one is asked for.
  let tries = 0;
  const attempt = async (): Promise<number> => {
    const body = { email: `again${++tries}@example.com`, password: "SecurePassword123!" };
    const answer = await auth.call("POST", REGISTER, { body });
    if (answer.status === 503) expect(answer.body).toMatchObject({ success: false, message: "service unavailable" });
    return answer.status;
  };
  expect([201, 503]).toContain(await attempt());
  expect(await auth.session(account.token)).toMatchObject({ ok: true });
  await until("all is well again", async () => (await attempt()) === 201, 30_000);
}, 60_000);

/** API keys of an account and its token usage with real PostgreSQL and NATS; every error row by status and message. */
import { createHash } from "node:crypto";
import { callService, RpcError } from "@headwater/messaging";
import { keyPrefixOf, UsageAnswer } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Account, type AuthFixture, startAuthFixture } from "./testing/auth-fixture.ts";

let auth: AuthFixture;
let account: Account;
beforeAll(async () => {
  auth = await startAuthFixture({ databaseUrl: inject("databaseUrl"), instances: 2 });
  account = await auth.register();
}, 60_000);
afterAll(() => auth?.stop(), 60_000);

const message = (answer: { status: number; body: Record<string, unknown> }): unknown[] => [answer.status, answer.body["message"]];
const KEYS = "/api/auth/api-keys";
const create = (body: unknown, token = account.token, path = KEYS) => auth.call("POST", path, { token, body });
const verify = async (key: string): Promise<Record<string, unknown>> =>
  (await callService(auth.nats, "auth", "verify", { digest: createHash("sha256").update(key).digest("hex") })) as Record<string, unknown>;
const idOf = (answer: { body: Record<string, unknown> }): string => String((answer.body["apiKey"] as { _id: unknown })._id);

describe("/api/auth/api-keys", () => {
  it("makes a key that is shown once and verified everywhere, with the account behind it", async () => {
    const made = await create({ name: "My Trading Bot", scopes: ["websocket:subscribe", "websocket:llm", "websocket:subscribe"] });
    const key = String(made.body["key"]);
    expect(made.status).toBe(201);
    expect(key).toMatch(/^ts_live_[A-Za-z0-9]{32}_[A-Za-z0-9]{8}$/);
    expect(keyPrefixOf(key)).toBe("ts_live_");
    expect(made.body).toEqual({
      success: true,
      message: "API key created successfully. Store this key securely - it will not be shown again.",
      apiKey: {
        _id: expect.stringMatching(/^[0-9a-f]{24}$/),
        name: "My Trading Bot",
        prefix: "ts_live_",
        lastChars: key.slice(-8),
        scopes: ["websocket:subscribe", "websocket:llm"],
        isActive: true,
        createdAt: expect.any(String),
      },
      key,
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => verify(key)));
    for (const answer of answers) {
      expect(answer).toMatchObject({
        ok: true,
        credential: { userId: account.userId, keyId: idOf(made), scopes: ["websocket:subscribe", "websocket:llm"] },
      });
    }
    const list = await auth.call("GET", KEYS, { token: account.token });
    expect(JSON.stringify(list.body)).not.toContain(key.slice(8, 40));
    expect(await auth.dump()).not.toContain(key.slice(8, 40));
  });

  it.each([
    ["no JSON", "{", "invalid payload"],
    ["nothing", {}, "invalid payload: name and scopes required"],
    ["no name", { scopes: ["websocket:llm"] }, "invalid payload: name and scopes required"],
    ["an empty name", { name: "", scopes: ["websocket:llm"] }, "invalid payload: name and scopes required"],
    ["a blank name", { name: "  ", scopes: ["websocket:llm"] }, "invalid payload: name and scopes required"],
    ["a number as name", { name: 5, scopes: ["websocket:llm"] }, "invalid payload: name and scopes required"],
    ["no scopes", { name: "a" }, "invalid payload: name and scopes required"],
    ["an empty list of scopes", { name: "a", scopes: [] }, "invalid payload: name and scopes required"],
    ["text as scopes", { name: "a", scopes: "websocket:llm" }, "invalid payload: name and scopes required"],
    ["a number as scope", { name: "a", scopes: [5] }, "invalid payload: name and scopes required"],
    ["a long name", { name: "x".repeat(101), scopes: ["websocket:llm"] }, "invalid payload: name must be at most 100 characters"],
    ["a name with NUL", { name: "a\u0000", scopes: ["websocket:llm"] }, "invalid payload"],
    ["an unknown scope", { name: "a", scopes: ["websocket:llm", "admin"] }, "invalid scope: admin. Valid scopes: websocket:subscribe, websocket:llm, websocket:topic, websocket:*"],
    ["a scope of another surface", { name: "a", scopes: ["signals:read"] }, "invalid scope: signals:read. Valid scopes: websocket:subscribe, websocket:llm, websocket:topic, websocket:*"],
    ["an expiry in the past", { name: "a", scopes: ["websocket:llm"], expiresAt: "2020-01-01T00:00:00Z" }, "invalid payload: expiresAt must be a future time"],
    ["an expiry that is no time", { name: "a", scopes: ["websocket:llm"], expiresAt: "tomorrow" }, "invalid payload: expiresAt must be a future time"],
    ["a number as expiry", { name: "a", scopes: ["websocket:llm"], expiresAt: 5 }, "invalid payload"],
  ])("%s is refused", async (_name, body, text) => {
    expect(message(await create(body))).toEqual([400, text]);
  }); // biome-ignore format: one table

  it("has names that are taken while their key is active, also when many ask at once", async () => {
    const body = { name: "taken", scopes: ["websocket:*"] };
    const many = await Promise.all(Array.from({ length: 6 }, (_, i) => auth.call("POST", KEYS, { token: account.token, body, at: i % 2 })));
    expect(many.map(({ status }) => status).toSorted()).toEqual([201, 400, 400, 400, 400, 400]);
    expect(message(await create(body))).toEqual([400, "API key with this name already exists"]);
    const other = await auth.register();
    expect((await create(body, other.token)).status).toBe(201);
    const made = many.find(({ status }) => status === 201);
    if (!made) throw new Error("no key was made");
    await auth.call("DELETE", `${KEYS}/${idOf(made)}`, { token: account.token });
    expect((await create(body)).status).toBe(201);
  });

  it("frees the name of an expired key, which opens nothing", async () => {
    const soon = new Date(auth.clock.now() + 60_000).toISOString();
    const made = await create({ name: "short", scopes: ["websocket:llm"], expiresAt: soon });
    expect(made.body["apiKey"]).toMatchObject({ expiresAt: soon });
    expect(await verify(String(made.body["key"]))).toMatchObject({ ok: true });
    auth.clock.advance(61_000);
    expect(await verify(String(made.body["key"]))).toEqual({ ok: false, code: "expired" });
    const list = (await auth.call("GET", KEYS, { token: account.token })).body["apiKeys"] as { name: string }[];
    expect(list.map(({ name }) => name)).not.toContain("short");
    expect((await create({ name: "short", scopes: ["websocket:llm"] })).status).toBe(201);
  });

  it("lists active keys newest first, with the time of last use once there is one", async () => {
    const own = await auth.register();
    const first = await create({ name: "first", scopes: ["websocket:*"] }, own.token);
    auth.clock.advance(1_000);
    await create({ name: "second", scopes: ["websocket:*"] }, own.token);
    const list = async (): Promise<Record<string, unknown>[]> =>
      (await auth.call("GET", KEYS, { token: own.token })).body["apiKeys"] as Record<string, unknown>[];
    expect((await list()).map((key) => [key["name"], key["isActive"], "lastUsedAt" in key])).toEqual([
      ["second", true, false],
      ["first", true, false],
    ]);
    await verify(String(first.body["key"]));
    await until("the use is written", async () => (await list()).some((key) => key["name"] === "first" && "lastUsedAt" in key));
  });

  it("revokes at once and for good, tells the registry, and says the same when asked twice (W24)", async () => {
    const made = await create({ name: "to revoke", scopes: ["websocket:*"] });
    const [id, key] = [idOf(made), String(made.body["key"])];
    const revoke = (path: string, token = account.token) => auth.call("DELETE", `${KEYS}/${path}`, { token });
    expect(message(await revoke("nonsense"))).toEqual([400, "invalid API key ID"]);
    expect(message(await revoke("0".repeat(24)))).toEqual([404, "API key not found"]);
    const stranger = await auth.register();
    expect((await revoke(id, stranger.token)).body).toEqual((await revoke("0".repeat(24), stranger.token)).body);
    expect(await verify(key)).toMatchObject({ ok: true });
    const revoked = await revoke(id);
    expect([revoked.status, revoked.body]).toEqual([200, { success: true, message: "API key revoked successfully" }]);
    expect(auth.registry.get("key", id)?.data).toMatchObject({ revokedAt: expect.any(String) });
    await until("every instance refuses", async () =>
      (await Promise.all(Array.from({ length: 8 }, () => verify(key)))).every(({ ok }) => ok === false),
    );
    expect((await revoke(id)).status).toBe(200);
  });

  it("opens no REST route", async () => {
    const made = await create({ name: "rest", scopes: ["websocket:*"] });
    expect(message(await auth.call("GET", "/api/auth/me", { token: String(made.body["key"]) }))).toEqual([401, "invalid token"]);
  });

  it("says its own messages when the store fails", async () => {
    await auth.sql("ALTER TABLE auth.keys RENAME TO keys_away");
    try {
      expect(message(await create({ name: "x", scopes: ["websocket:*"] }))).toEqual([500, "failed to generate API key"]);
      expect(message(await auth.call("GET", KEYS, { token: account.token }))).toEqual([500, "failed to retrieve API keys"]);
      const gone = await auth.call("DELETE", `${KEYS}/${"0".repeat(24)}`, { token: account.token });
      expect(message(gone)).toEqual([500, "failed to revoke API key"]);
      expect(JSON.stringify(gone.body)).not.toMatch(/keys_away|relation|SELECT/i);
    } finally {
      await auth.sql("ALTER TABLE auth.keys_away RENAME TO keys");
    }
  });

  it("stops at the plan's number of keys, also when many ask at once", async () => {
    const own = await auth.register();
    const plan = { plan: "free", limits: { apiKeys: 3 } };
    await auth.call("PUT", `/admin/v1/tenants/acct-${own.userId}/plan`, { token: auth.deps.secrets.adminToken, body: plan });
    const many = await Promise.all(Array.from({ length: 6 }, (_, i) => create({ name: `key ${i}`, scopes: ["websocket:*"] }, own.token)));
    expect(many.filter(({ status }) => status === 201).length).toBe(3);
    expect(message(many.find(({ status }) => status !== 201) ?? { status: 0, body: {} })).toEqual([403, "API key limit reached"]);
  });
});

describe("/v1/keys", () => {
  it("makes keys of any prefix, type and domains", async () => {
    const body = { name: "collector", scopes: ["events:write"], prefix: "cs_srv_live_", type: "server", domains: ["*.example.com"] };
    const made = await create(body, account.token, "/v1/keys");
    expect(made.body["key"]).toMatch(/^cs_srv_live_[A-Za-z0-9]{32}$/);
    expect(made.body["apiKey"]).toMatchObject({
      prefix: "cs_srv_live_",
      type: "server",
      domains: ["*.example.com"],
      scopes: ["events:write"],
    });
    expect(await verify(String(made.body["key"]))).toMatchObject({
      ok: true,
      credential: { keyType: "server", domains: ["*.example.com"] },
    });
    const plain = await create({ name: "plain", scopes: ["events:write"] }, account.token, "/v1/keys");
    expect(plain.body["apiKey"]).toMatchObject({ prefix: "cs_live_", type: "browser", domains: [] });
    const listed = (await auth.call("GET", "/v1/keys", { token: account.token })).body["apiKeys"] as { name: string }[];
    expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining(["collector", "plain"]));
    const socketOnly = (await auth.call("GET", KEYS, { token: account.token })).body["apiKeys"] as { name: string }[];
    expect(socketOnly.map(({ name }) => name)).not.toContain("plain");
    expect((await auth.call("DELETE", `/v1/keys/${idOf(plain)}`, { token: account.token })).status).toBe(200);
    expect(message(await auth.call("DELETE", "/v1/keys/key_nobody", { token: account.token }))).toEqual([404, "API key not found"]);
    expect(message(await auth.call("DELETE", "/v1/keys/a.b", { token: account.token }))).toEqual([400, "invalid API key ID"]);
  });

  it.each([
    ["an unknown prefix", { name: "a", scopes: ["events:write"], prefix: "sk_live_" }, 400, "invalid payload"],
    ["an unknown type", { name: "a", scopes: ["events:write"], type: "root" }, 400, "invalid payload"],
    ["a domain with a path", { name: "a", scopes: ["events:write"], domains: ["example.com/x"] }, 400, "invalid payload"],
    [
      "a scope outside the plan",
      { name: "a", scopes: ["events:write", "signals:read"] },
      403,
      "scope signals:read is not part of the plan free",
    ],
  ])("refuses %s", async (_name, body, status, text) => {
    expect(message(await create(body, account.token, "/v1/keys"))).toEqual([status, text]);
  });

  it("names every scope when one is unknown", async () => {
    const refused = await create({ name: "a", scopes: ["root"] }, account.token, "/v1/keys");
    expect(refused.status).toBe(400);
    expect(refused.body["message"]).toMatch(/^invalid scope: root\. Valid scopes: events:write, .*emotion:use$/);
  });

  it("lists and revokes what an operator made for the tenant, whose owner is behind it", async () => {
    const own = await auth.register();
    const admin = auth.deps.secrets.adminToken;
    const made = await auth.call("POST", "/admin/v1/keys", {
      token: admin,
      body: { tenant: `acct-${own.userId}`, scopes: ["events:write"] },
    });
    expect(await verify(String(made.body["key"]))).toMatchObject({ ok: true, credential: { userId: own.userId } });
    const listed = (await auth.call("GET", "/v1/keys", { token: own.token })).body["apiKeys"] as { _id: string }[];
    expect(listed.map(({ _id }) => _id)).toEqual([made.body["id"]]);
    expect((await auth.call("DELETE", `/v1/keys/${String(made.body["id"])}`, { token: own.token })).status).toBe(200);
    await until("it is refused", async () => (await verify(String(made.body["key"])))["ok"] === false);
    const orphan = await auth.call("POST", "/admin/v1/keys", { token: admin, body: { tenant: "nobodys", scopes: ["events:write"] } });
    expect((await verify(String(orphan.body["key"])))["credential"]).not.toHaveProperty("userId");
  });
});

describe("svc.auth.usage", () => {
  const usage = async (tenantId: string, add?: { id: string; tokens: number }) =>
    UsageAnswer.parse(await callService(auth.nats, "auth", "usage", { tenantId, ...(add ? { add } : {}) })).tokenUsage;
  const tenantOf = async (token: string): Promise<string> =>
    ((await auth.session(token)) as { session: { tenantId: string } }).session.tenantId;

  it("adds atomically, each addition once, and shows the account the same", async () => {
    const own = await auth.register();
    const tenantId = await tenantOf(own.token);
    const ids = Array.from({ length: 20 }, (_, i) => `call-${i}`);
    await Promise.all([...ids, ...ids].map((id) => usage(tenantId, { id, tokens: 7 })));
    expect(await usage(tenantId)).toMatchObject({ tokensUsed: 140, limit: 1_000_000, overdraftAllowed: true });
    // The same id of another tenant is another addition.
    const other = await tenantOf((await auth.register()).token);
    expect(await usage(other, { id: "call-0", tokens: 1 })).toMatchObject({ tokensUsed: 1 });
    const shown = await auth.call("GET", "/api/auth/token-usage", { token: own.token });
    expect(shown.body).toEqual({ success: true, tokenUsage: await usage(tenantId) });
  });

  it("keeps tenants apart that are asked about in the same moment, and answers for none that is not", async () => {
    const [one, two] = [await tenantOf((await auth.register()).token), await tenantOf((await auth.register()).token)];
    const asked = Array.from({ length: 30 }, (_, i) => [
      usage(one, { id: `c${i}`, tokens: i }),
      usage(two, { id: `c${i % 10}`, tokens: 2 ** 40 }),
      usage(two),
      expect(usage("nobody", { id: `c${i}`, tokens: 1 })).rejects.toMatchObject({ status: 404 }),
    ]);
    await Promise.all<unknown>(asked.flat());
    expect(await usage(one)).toMatchObject({ tokensUsed: (29 * 30) / 2 });
    expect(await usage(two)).toMatchObject({ tokensUsed: 10 * 2 ** 40 });
  });

  it("follows the operator's limit and overdraft", async () => {
    const own = await auth.register();
    const body = { plan: "builder", limits: { llmTokensPerMonth: 5 }, overdraftAllowed: false };
    await auth.call("PUT", `/admin/v1/tenants/acct-${own.userId}/plan`, { token: auth.deps.secrets.adminToken, body });
    expect(await usage(await tenantOf(own.token))).toMatchObject({ limit: 5, overdraftAllowed: false });
  });

  it("begins anew with the month", async () => {
    const own = await auth.register();
    const tenantId = await tenantOf(own.token);
    const before = await usage(tenantId, { id: "a", tokens: 9 });
    const now = new Date(auth.clock.now());
    const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1, 0, 0, 1);
    auth.clock.advance(next - now.getTime());
    const after = await usage(tenantId);
    expect(after.currentMonth > before.currentMonth).toBe(true);
    expect(after).toMatchObject({ tokensUsed: 0, lastResetDate: `${after.currentMonth}-01T00:00:00.000Z` });
    expect(await usage(tenantId, { id: "b", tokens: 2 })).toMatchObject({ tokensUsed: 2 });
  });

  it.each([
    [{}, "invalid_request"],
    [{ tenantId: "ten_x", add: { id: "a", tokens: -1 } }, "invalid_request"],
    [{ tenantId: "ten_x", add: { id: "a", tokens: 1.5 } }, "invalid_request"],
    [{ tenantId: "ten_nobody" }, "not_found"],
  ])("refuses %j", async (payload, code) => {
    const refused = callService(auth.nats, "auth", "usage", payload);
    await expect(refused).rejects.toBeInstanceOf(RpcError);
    await expect(refused).rejects.toMatchObject({ code });
  });
});

/** Credentials that end while sockets live on them: every such socket is told and closed with 4401 at once, every other one stays. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Account, type FeedsSystem, startFeedsSystem } from "./support/feeds-system.ts";
import { openSocket, type Socket } from "./support/socket.ts";

let feeds: FeedsSystem;
const sockets: Socket[] = [];

beforeAll(async () => {
  feeds = await startFeedsSystem(undefined);
});
afterAll(async () => {
  for (const socket of sockets) socket.cut();
  await feeds?.stop();
});

const AT_ONCE_MS = 5_000;

async function authenticated(credential: { apiKey: string } | { token: string }): Promise<Socket> {
  const socket = await openSocket(feeds.wsUrl);
  sockets.push(socket);
  expect(await socket.answer({ type: "authenticate", payload: credential })).toMatchObject({ type: "authenticated" });
  return socket;
}

async function isEnded(socket: Socket, error: string): Promise<void> {
  await socket
    .when("the socket closes", () => !socket.isOpen(), AT_ONCE_MS)
    .catch((reason: unknown) => {
      if (socket.isOpen()) throw reason;
    });
  expect(await socket.closed).toEqual({ code: 4401, reason: "credentials revoked or expired" });
  expect(socket.frames.at(-1)).toMatchObject({ type: "auth_error", payload: { error } });
}

async function lives(...these: Socket[]): Promise<void> {
  for (const socket of these) expect(await socket.ask()).toEqual([]);
}

/** The REST API and a new socket know it too. */
async function isRefused(token: string): Promise<void> {
  const me = await fetch(`${feeds.url}/api/auth/me`, { headers: { Authorization: `Bearer ${token}` } });
  expect([me.status, await me.json()]).toMatchObject([401, { success: false, message: "invalid token" }]);
  const socket = await openSocket(feeds.wsUrl);
  sockets.push(socket);
  expect(await socket.answer({ type: "authenticate", payload: { token } })).toMatchObject({
    type: "auth_error",
    payload: { error: "invalid token" },
  });
}

async function world(): Promise<{ first: Account; second: Account; key: { id: string; key: string }; bystander: Socket }> {
  const first = await feeds.register("ann");
  const [second, key, other] = await Promise.all([first.login(), first.createKey("bot"), feeds.register("ben")]);
  return { first, second, key, bystander: await authenticated({ token: other.token }) };
}

it("a revoked key closes its sockets and no other; its name is free again", async () => {
  const { first, key, bystander } = await world();
  const other = await first.createKey("other bot", ["websocket:subscribe"]);
  const [one, two] = [await authenticated({ apiKey: key.key }), await authenticated({ apiKey: key.key })];
  const [byOther, byLogin] = [await authenticated({ apiKey: other.key }), await authenticated({ token: first.token })];
  expect(await first.ok("DELETE", `/api/auth/api-keys/${key.id}`)).toEqual({ success: true, message: "API key revoked successfully" });
  await Promise.all([isEnded(one, "API key revoked"), isEnded(two, "API key revoked")]);
  await lives(byOther, byLogin, bystander);
  const again = await openSocket(feeds.wsUrl);
  sockets.push(again);
  expect(await again.answer({ type: "authenticate", payload: { apiKey: key.key } })).toMatchObject({
    type: "auth_error",
    payload: { error: "invalid API key" },
  });
  await first.createKey("bot");
});

it("logout closes the sockets of that login, not those of another one or of a key", async () => {
  const { first, second, key, bystander } = await world();
  const ended = await authenticated({ token: first.token });
  const [other, byKey] = [await authenticated({ token: second.token }), await authenticated({ apiKey: key.key })];
  await first.ok("POST", "/api/auth/logout");
  await isEnded(ended, "invalid token");
  await lives(other, byKey, bystander);
  await isRefused(first.token);
});

it("a changed password closes the sockets of every other login", async () => {
  const { first, second, key, bystander } = await world();
  const third = await first.login();
  const [kept, byKey] = [await authenticated({ token: first.token }), await authenticated({ apiKey: key.key })];
  const ended = [await authenticated({ token: second.token }), await authenticated({ token: third.token })];
  await first.ok("POST", "/api/auth/change-password", { currentPassword: first.password, newPassword: "another Password 9" });
  await Promise.all(ended.map((socket) => isEnded(socket, "invalid token")));
  await lives(kept, byKey, bystander);
  await Promise.all([isRefused(second.token), isRefused(third.token)]);
});

it("a terminated session closes its sockets; terminating the others keeps the caller's", async () => {
  const { first, second, bystander } = await world();
  const third = await first.login();
  const [mine, seconds, thirds] = [
    await authenticated({ token: first.token }),
    await authenticated({ token: second.token }),
    await authenticated({ token: third.token }),
  ];
  // The socket of the second login names its session: it is the one that answers for that token.
  const [, claims = ""] = second.token.split(".");
  const sid = (JSON.parse(Buffer.from(claims, "base64url").toString()) as { sid: string }).sid;
  await first.ok("DELETE", `/api/auth/sessions/${sid}`);
  await isEnded(seconds, "invalid token");
  await lives(mine, thirds, bystander);
  await isRefused(second.token);
  expect(await first.ok("POST", "/api/auth/sessions/terminate-others")).toEqual({ success: true, terminatedCount: 1 });
  await isEnded(thirds, "invalid token");
  await lives(mine, bystander);
  await isRefused(third.token);
});

it("a socket that was switched to another credential lives and dies with the new one", async () => {
  const { first, second, key } = await world();
  const socket = await authenticated({ token: first.token });
  expect(await socket.answer({ type: "authenticate", payload: { apiKey: key.key } })).toMatchObject({ type: "authenticated" });
  await first.ok("POST", "/api/auth/logout");
  await isRefused(first.token);
  await lives(socket);
  await second.ok("DELETE", `/api/auth/api-keys/${key.id}`);
  await isEnded(socket, "API key revoked");
});

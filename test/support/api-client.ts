/** Calls of the public REST API for tests: an account with its token, feeds, keys. Waits out 429 and 503, so that tests need not know the limits. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

export interface ApiAnswer {
  status: number;
  body: Record<string, unknown>;
  text: string;
}

export type CallApi = (method: string, route: string, body?: unknown) => Promise<ApiAnswer>;

export interface Account {
  userId: string;
  email: string;
  password: string;
  token: string;
  /** With the account's token. */
  call: CallApi;
  /** Throws anything but a success. */
  must(method: string, route: string, body?: unknown): Promise<Record<string, unknown>>;
  /** @returns the feed's id. */
  createFeed(feed: Record<string, unknown>): Promise<string>;
  createKey(scopes: string[]): Promise<{ id: string; key: string }>;
}

const RETRY_MS = 100;
const PATIENCE_MS = 30_000;

export function caller(url: string, token?: string): CallApi {
  return async (method, route, body) => {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await fetch(`${url}${route}`, {
        method,
        headers: { "Content-Type": "application/json", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      const isLater = answer.status === 429 || answer.status === 503;
      if (isLater && performance.now() < until) await pause(RETRY_MS);
      // Every answer of the API is one JSON object.
      else return { status: answer.status, body: JSON.parse(text) as Record<string, unknown>, text };
    }
  };
}

export async function createAccount(url: string, name = "Tester"): Promise<Account> {
  const email = `${randomUUID()}@test.example`;
  const password = "SecurePassword123!";
  const made = await caller(url)("POST", "/api/auth/register", { email, password, name });
  if (made.status !== 201) throw new Error(`register: ${made.status} ${made.text}`);
  const token = String(made.body["token"]);
  const call = caller(url, token);
  const must = async (method: string, route: string, body?: unknown): Promise<Record<string, unknown>> => {
    const answer = await call(method, route, body);
    if (answer.status >= 300) throw new Error(`${method} ${route}: ${answer.status} ${answer.text}`);
    return answer.body;
  };
  return {
    userId: idOf(made.body["user"]),
    email,
    password,
    token,
    call,
    must,
    createFeed: async (feed) => idOf((await must("POST", "/api/marketplace/feeds", { connectionType: "websocket", ...feed }))["data"]),
    createKey: async (scopes) => {
      const answer = await must("POST", "/api/auth/api-keys", { name: randomUUID(), scopes });
      return { id: idOf(answer["apiKey"]), key: String(answer["key"]) };
    },
  };
}

/** Raises limits of the account's tenant as an operator would. */
export async function raiseAccountLimits(url: string, adminToken: string, account: Account, limits: Record<string, number>): Promise<void> {
  const answer = await fetch(`${url}/admin/v1/tenants/acct-${account.userId}/plan`, {
    method: "PUT",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${adminToken}` },
    body: JSON.stringify({ plan: "custom", limits }),
  });
  if (!answer.ok) throw new Error(`set plan: ${answer.status} ${await answer.text()}`);
}

/** `_id` of an object of the API. */
function idOf(value: unknown): string {
  const id = typeof value === "object" && value !== null && "_id" in value ? value._id : undefined;
  if (typeof id !== "string") throw new Error(`no _id in ${JSON.stringify(value)}`);
  return id;
}

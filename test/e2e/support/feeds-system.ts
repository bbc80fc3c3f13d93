/**
 * The whole system for the end-to-end tests of feeds: started as a library, its public REST API called as an account or as nobody. Requests are
 * not slowed down here: limits have tests of their own beside the code.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseOptions, type Standalone, startStandalone } from "@headwater/standalone";
import { makeTempDir, type UpstreamServer, until } from "@headwater/testkit";

const UNLIMITED = Object.fromEntries(
  ["RATE_LIMIT", "RATE_LIMIT_LOGIN", "RATE_LIMIT_AUTH"].flatMap((name) => [
    [`${name}_PER_SECOND`, "100000"],
    [`${name}_BURST`, "100000"],
  ]),
);

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** The text as JSON object; empty when it is none. */
  body: Record<string, unknown>;
}

export interface Caller {
  /** `path` from the root of the public port. Never throws for a status. */
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The same for what has to succeed. */
  ok(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
}

export interface Account extends Caller {
  readonly email: string;
  readonly password: string;
  readonly userId: string;
  readonly token: string;
  /** Another login of the same account. */
  login(): Promise<Account>;
  createFeed(feed: Record<string, unknown>): Promise<string>;
  createKey(name: string, scopes?: string[]): Promise<{ id: string; key: string }>;
  /** LLM tokens of the month. */
  tokensUsed(): Promise<number>;
}

export interface FeedsSystem {
  readonly system: Standalone;
  readonly url: string;
  readonly wsUrl: string;
  readonly nobody: Caller;
  register(name: string): Promise<Account>;
  /** Per service only: processes by name, read anew at each call. */
  pids(): Map<string, number>;
  /** Sends the signal and resolves when the supervisor has another process of that name ready. */
  restart(name: string, signal: NodeJS.Signals): Promise<void>;
  stop(): Promise<void>;
}

export async function startFeedsSystem(
  upstream: Pick<UpstreamServer, "host"> | undefined,
  options: { args?: string[]; env?: Record<string, string> } = {},
): Promise<FeedsSystem> {
  const temp = makeTempDir("headwater-feeds");
  const env = {
    ...process.env,
    ...UNLIMITED,
    ...(upstream ? { UPSTREAM_ALLOWED_HOSTS: upstream.host } : {}),
    ...options.env,
  };
  let system: Standalone;
  try {
    const args = ["--port", "0", "--no-demo", "--data-dir", temp.dir, ...(options.args ?? [])];
    system = await startStandalone(parseOptions(args, {}, temp.dir), env);
  } catch (error) {
    temp.remove();
    throw error;
  }
  const { url } = system;
  const pids = (): Map<string, number> => {
    // The supervisor replaces the file by renaming, so it is whole whenever it can be read.
    const entries = JSON.parse(readFileSync(path.join(temp.dir, "pids.json"), "utf8")) as { name: string; pid: number }[];
    return new Map(entries.map(({ name, pid }) => [name, pid]));
  };
  const nobody = caller(url, undefined);
  return {
    system,
    url,
    wsUrl: url.replace("http", "ws"),
    nobody,
    async register(name) {
      const email = `${name}-${randomBytes(4).toString("hex")}@example.com`;
      const password = "SecurePassword123!";
      return accountOf(url, email, password, await nobody.ok("POST", "/api/auth/register", { email, password, name }));
    },
    pids,
    async restart(name, signal) {
      const pid = pids().get(name);
      if (pid === undefined) throw new Error(`${name} is not running`);
      process.kill(pid, signal);
      await until(`${name} runs again`, () => ![undefined, pid].includes(pids().get(name)), 30_000);
      await until(`${name} is ready`, async () => isUp(await system.health(), name), 30_000);
    },
    async stop() {
      await system.stop();
      temp.remove();
    },
  };
}

function isUp(health: Awaited<ReturnType<Standalone["health"]>>, name: string): boolean {
  return health.instances[name]?.status === "up";
}

function caller(base: string, token: string | undefined): Caller {
  const call = async (method: string, target: string, body?: unknown): Promise<Answer> => {
    const answer = await fetch(base + target, {
      method,
      headers: {
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: objectOf(text) };
  };
  return {
    call,
    async ok(method, target, body) {
      const answer = await call(method, target, body);
      if (answer.status >= 300) throw new Error(`${method} ${target}: ${answer.status} ${answer.text}`);
      return answer.body;
    },
  };
}

function accountOf(base: string, email: string, password: string, answer: Record<string, unknown>): Account {
  const token = String(answer["token"]);
  const userId = memberOf(answer, "user", "_id");
  const api = caller(base, token);
  return {
    ...api,
    email,
    password,
    userId,
    token,
    login: async () => accountOf(base, email, password, await caller(base, undefined).ok("POST", "/api/auth/login", { email, password })),
    createFeed: async (feed) => memberOf(await api.ok("POST", "/api/marketplace/feeds", feed), "data", "_id"),
    async createKey(name, scopes = ["websocket:*"]) {
      const made = await api.ok("POST", "/api/auth/api-keys", { name, scopes });
      return { id: memberOf(made, "apiKey", "_id"), key: String(made["key"]) };
    },
    async tokensUsed() {
      const { tokenUsage } = await api.ok("GET", "/api/auth/token-usage");
      return isObject(tokenUsage) ? Number(tokenUsage["tokensUsed"]) : Number.NaN;
    },
  };
}

/** A text member of an answer, by its names from the outside in. */
export function memberOf(answer: unknown, ...names: string[]): string {
  let value = answer;
  for (const name of names) value = isObject(value) ? value[name] : undefined;
  if (typeof value !== "string" || value === "") throw new Error(`no ${names.join(".")} in ${JSON.stringify(answer)}`);
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/**
 * The demo account and its feeds, made through the public REST API as anybody would, once per installation: what exists is found again by the
 * notes in the data directory, a feed whose address changed is corrected. Tests: account.int.test.ts.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { DemoAccount, NoteBook } from "./notes.ts";

const NAME = "Headwater demo";
/** While services find each other after the start. */
const RETRY_MS = 250;
const RETRY_FOR_MS = 20_000;

export interface DemoFeed {
  recording: string;
  name: string;
  description: string;
  url: string;
  topicField: string;
  connectionMessages: string[];
}

/** @returns the account with all `feeds` in place and their present `url`. Throws when the API refuses what should work. */
export async function demoAccount(url: string, notes: NoteBook, feeds: readonly DemoFeed[]): Promise<DemoAccount> {
  const known = notes.read().account;
  const api = createApi(url);
  const login = known && (await api("POST", "/api/auth/login", { body: { email: known.email, password: known.password } }));
  const { account, token } =
    known && login?.ok ? { account: structuredClone(known), token: Token.parse(login.body).token } : await register(api);
  const note = (): void => notes.note({ account });
  note();
  if (account.socketKey === undefined) {
    const made = await api("POST", "/api/auth/api-keys", { token, body: { name: "demo", scopes: ["websocket:*"] } });
    account.socketKey = z.object({ key: z.string() }).parse(expectOk(made)).key;
    note();
  }
  for (const { recording, ...feed } of feeds) {
    const id = account.feeds[recording];
    const found = id === undefined ? undefined : await api("GET", `/api/marketplace/feeds/${id}`, { token });
    if (found?.ok) {
      if (Found.parse(found.body).data.url !== feed.url)
        expectOk(await api("PUT", `/api/marketplace/feeds/${id}`, { token, body: { url: feed.url } }));
      continue;
    }
    const made = await api("POST", "/api/marketplace/feeds", {
      token,
      body: { ...feed, category: "finance", isPublic: true, connectionType: "websocket", enableTopicRouting: true },
    });
    account.feeds[recording] = Found.parse(expectOk(made)).data._id;
    note();
  }
  return account;
}

const Token = z.object({ token: z.string() });
const Found = z.object({ data: z.object({ _id: z.string(), url: z.string() }) });

type Api = (
  method: string,
  route: string,
  init: { token?: string; body?: unknown },
) => Promise<{ ok: boolean; what: string; body: unknown }>;

async function register(api: Api): Promise<{ account: DemoAccount; token: string }> {
  const password = randomBytes(12).toString("base64url");
  // An older demo account may be in a database that outlived its data directory.
  for (const email of ["demo@headwater.example", `demo-${randomBytes(4).toString("hex")}@headwater.example`]) {
    const made = await api("POST", "/api/auth/register", { body: { email, password, name: NAME } });
    if (made.ok) return { account: { email, password, feeds: {} }, token: Token.parse(made.body).token };
    if (!JSON.stringify(made.body).includes("user already exists")) expectOk(made);
  }
  throw new Error("demo account: no free e-mail address");
}

function expectOk(answer: Awaited<ReturnType<Api>>): unknown {
  if (!answer.ok) throw new Error(`demo account: ${answer.what}`);
  return answer.body;
}

function createApi(url: string): Api {
  return async (method, route, { token, body }) => {
    const until = performance.now() + RETRY_FOR_MS;
    for (;;) {
      const answer = await fetch(`${url}${route}`, {
        method,
        headers: { "Content-Type": "application/json", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      const isBusy = answer.status === 503 || answer.status === 429;
      if (!isBusy || performance.now() > until) {
        const isJson = (answer.headers.get("content-type") ?? "").includes("json");
        return {
          ok: answer.ok,
          what: `${method} ${route}: ${answer.status} ${text.slice(0, 300)}`,
          body: isJson ? JSON.parse(text) : text,
        };
      }
      await pause(RETRY_MS);
    }
  };
}

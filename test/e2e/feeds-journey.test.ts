/**
 * The whole flow of the TurboStream page, with the page's own snippets (fixtures/turbostream-page) unchanged but for host, ids, tokens and the
 * upstream's address: account, feeds, key, sockets. What the page shows as intelligence is seen as topic-data, our addition.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { parseOptions, type Standalone, startStandalone } from "@headwater/standalone";
import { makeTempDir, startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { caller, type CallApi } from "../support/api-client.ts";
import { projectRoot } from "../support/npm-start.ts";
import { openSocket } from "../support/socket-client.ts";

const HEX_ID = /^[0-9a-f]{24}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;
const CREDENTIALS = { email: "dev@example.com", password: "SecurePassword123!" };

const temp = makeTempDir("headwater-journey");
let upstream: UpstreamServer;
let system: Standalone;
/** What one step leaves for the next. */
const journey = { token: "", userId: "", plainFeed: "", topicFeed: "", key: "", keyId: "" };
const children: ChildProcess[] = [];

beforeAll(async () => {
  upstream = await startUpstream();
  const env = { ...process.env, UPSTREAM_ALLOWED_HOSTS: upstream.host };
  system = await startStandalone(parseOptions(["--port", "0", "--no-demo", "--data-dir", temp.dir], {}, temp.dir), env);
}, 120_000);
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(async () => {
  await system?.stop();
  await upstream?.stop();
  temp.remove();
}, 60_000);

const call: CallApi = (...request) => caller(system.url, journey.token || undefined)(...request);

/** A snippet with host, ids and tokens filled in. */
function snippet(name: string, values: Record<string, string> = {}): string {
  let text = fs.readFileSync(path.join(projectRoot, "test/e2e/fixtures/turbostream-page", `${name}.txt`), "utf8");
  const host = system.url.replace("http://", "");
  for (const [shown, ours] of Object.entries({ "localhost:7210": host, ...values })) {
    expect(text).toContain(shown);
    text = text.replaceAll(shown, ours);
  }
  return text;
}

const requestBody = (name: string, values: Record<string, string>): Record<string, unknown> => {
  let text = fs.readFileSync(path.join(projectRoot, "test/e2e/fixtures/turbostream-page", `${name}.txt`), "utf8");
  for (const [shown, ours] of Object.entries(values)) text = text.replace(shown, ours);
  // The page's bodies are objects.
  return JSON.parse(text) as Record<string, unknown>;
};

/** Runs a snippet as a program of its own; the lines it prints, once `isEnough`. */
async function run(text: string, type: "commonjs" | "module", isEnough: (lines: string[]) => boolean): Promise<string[]> {
  const child = spawn(process.execPath, [`--input-type=${type}`, "-e", text], {
    cwd: path.join(projectRoot, "test"),
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let out = "";
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (out += String(chunk)));
  const lines = (): string[] => out.split("\n").slice(0, -1);
  await until(`the snippet's output; so far:\n${text}`, () => isEnough(lines()), 20_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${out}`);
  });
  return lines();
}

it("registers, as in step 1", async () => {
  const answer = await call("POST", "/api/auth/register", { ...CREDENTIALS, name: "Your Name" });
  expect(answer.status).toBe(201);
  expect(answer.body).toEqual({
    message: "User registered successfully",
    success: true,
    token: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/),
    user: {
      _id: expect.stringMatching(HEX_ID),
      email: CREDENTIALS.email,
      name: "Your Name",
      createdAt: expect.stringMatching(TIME),
      tokenUsage: {
        currentMonth: new Date().toISOString().slice(0, 7),
        tokensUsed: 0,
        limit: 1_000_000,
        lastResetDate: expect.stringMatching(TIME),
        overdraftAllowed: true,
      },
      twoFactorEnabled: false,
    },
  });
});

it("logs in and shows the profile with the page's fetch", async () => {
  const answer = await call("POST", "/api/auth/login", CREDENTIALS);
  expect([answer.status, answer.body["message"]]).toEqual([200, "Login successful"]);
  journey.token = String(answer.body["token"]);
  const printed = await run(snippet("me", { "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...": journey.token }), "commonjs", (lines) =>
    lines.includes("}"),
  );
  expect(printed.join("\n")).toContain(CREDENTIALS.email);
  const me = await call("GET", "/api/auth/me");
  const user = me.body["user"] as Record<string, unknown>;
  expect(user["lastLogin"]).toMatch(TIME);
  journey.userId = String(user["_id"]);
});

it("creates the page's two feeds", async () => {
  const plain = await call("POST", "/api/marketplace/feeds", requestBody("create-feed", { "wss://example.com/stream": `${upstream.url}/plain` })); // biome-ignore format: one line
  expect(plain.status).toBe(201);
  expect(plain.body).toEqual({
    success: true,
    data: {
      _id: expect.stringMatching(HEX_ID),
      name: "My Custom Feed",
      description: "Description of what this feed provides",
      url: `${upstream.url}/plain`,
      category: "technology",
      isActive: true,
      isVerified: false,
      isPublic: false,
      feedType: "user",
      userId: journey.userId,
      ownerName: "Your Name",
      connectionType: "websocket",
      connectionMessages: [],
      reconnectionEnabled: true,
      subscriberCount: 0,
      tags: null,
      enableTopicRouting: false,
      createdAt: expect.stringMatching(TIME),
      updatedAt: expect.stringMatching(TIME),
    },
  });
  journey.plainFeed = idOf(plain.body["data"]);
  const body = requestBody("create-topic-feed", { "wss://stream.binance.com:9443/ws/!ticker@arr": `${upstream.url}/tickers` });
  const topics = await call("POST", "/api/marketplace/feeds", body);
  expect([topics.status, topics.body["data"]]).toMatchObject([201, { enableTopicRouting: true, topicField: "s", isPublic: true }]);
  journey.topicFeed = idOf(topics.body["data"]);
  await until("the topic feed is connected and has said the page's message", () =>
    upstream.open("/tickers").some(({ messages }) => messages[0] === '{"method":"SUBSCRIBE","params":["btcusdt@ticker","ethusdt@ticker"],"id":1}'),
  ); // biome-ignore format: one line
});

it("lists public feeds to anybody, private ones to nobody else", async () => {
  const list = (await caller(system.url)("GET", "/api/marketplace/feeds")).body;
  expect(list).toMatchObject({ success: true, count: 1, data: [{ _id: journey.topicFeed }] });
  expect((await caller(system.url)("GET", "/api/marketplace/feeds/popular?limit=10")).body).toMatchObject({ count: 1 });
  expect((await caller(system.url)("GET", "/api/marketplace/feeds/search?q=multi&category=finance")).body).toMatchObject({ count: 1 });
  const hidden = await caller(system.url)("GET", `/api/marketplace/feeds/${journey.plainFeed}`);
  expect([hidden.status, hidden.body["message"]]).toEqual([404, "Feed not found"]);
});

it("subscribes, sets prompts, interval and default prompt", async () => {
  const id = journey.topicFeed;
  const subscribed = await call("POST", `/api/marketplace/subscribe/${id}`);
  expect(subscribed.body).toMatchObject({
    message: "Subscribed",
    success: true,
    subscription: { _id: expect.stringMatching(HEX_ID), userId: journey.userId, feedId: id, isActive: true },
  });
  expect((await call("GET", "/api/marketplace/subscriptions")).body).toMatchObject({ success: true, count: 2 });
  const prompts = requestBody("topic-prompts", {});
  expect((await call("PUT", `/api/marketplace/feeds/${id}`, prompts)).body).toMatchObject({ success: true, data: { _id: id, ...prompts } });
  expect((await call("PUT", `/api/marketplace/feeds/${id}`, { queryInterval: 30 })).body).toMatchObject({ data: { queryInterval: 30 } });
  const text = "You are a financial analyst specializing in cryptocurrency markets.";
  const prompted = await call("PUT", `/api/marketplace/feeds/${id}/ai-prompt`, { defaultAIPrompt: text });
  expect(prompted.body).toMatchObject({ success: true, data: { _id: id, defaultAIPrompt: text } });
  const left = await call("POST", `/api/marketplace/unsubscribe/${id}`);
  expect(left.body).toEqual({ success: true, message: "Unsubscribed" });
  // None of this concerns the connection.
  expect(upstream.connections("/tickers").length).toBe(1);
});

it("creates an API key with the page's fetch", async () => {
  const [line = ""] = await run(snippet("create-key", { YOUR_JWT_TOKEN: journey.token }), "module", (lines) => lines.length > 0);
  journey.key = /^API Key: (ts_live_[0-9A-Za-z]{32}_[0-9A-Za-z]{8})$/.exec(line)?.[1] ?? "";
  expect(journey.key).not.toBe("");
  const listed = (await call("GET", "/api/auth/api-keys")).body["apiKeys"] as Record<string, unknown>[];
  expect(listed).toMatchObject([
    { name: "My Trading Bot", prefix: "ts_live_", lastChars: journey.key.slice(-8), scopes: ["websocket:subscribe", "websocket:llm"] },
  ]);
  journey.keyId = idOf(listed[0]);
});

it("authenticates with the key and reads raw data with the page's socket", async () => {
  const text = snippet("authenticate", {
    ts_live_a7Kx9mP2nQ5wR8yT4vB6cD1eF3gH0jL5_8dF2aC9b: journey.key,
    YOUR_FEED_ID: journey.plainFeed,
  });
  const watch = "\nws.addEventListener('message', (event) => console.log('FRAME ' + event.data));";
  const printed = run(text + watch, "commonjs", (lines) => framesIn(lines).some((frame) => frame.type === "feed-data"));
  await sendUntil(printed, '{"temperature":72.5,"humidity":65,"conditions":"Partly Cloudy"}', "/plain");
  const lines = await printed;
  expect(lines.slice(0, 2)).toEqual(["✓ Connected to TurboStream", expect.stringMatching(/^(✓ Authenticated|FRAME)/)]);
  expect(lines).toContain("Auth type: apikey");
  expect(lines).toContain(`User ID: ${journey.userId}`);
  const frames = framesIn(lines);
  expect(frames).toContainEqual({ type: "subscription-success", payload: { feedId: journey.plainFeed, type: "feed-data" } });
  expect(frames.find((frame) => frame.type === "feed-data")).toEqual({
    type: "feed-data",
    payload: {
      feedId: journey.plainFeed,
      feedName: "My Custom Feed",
      eventName: "",
      data: { temperature: 72.5, humidity: 65, conditions: "Partly Cloudy" },
      timestamp: expect.stringMatching(TIME),
    },
  });
});

it("runs the complete example: no login, two topics of a public feed", async () => {
  const text = snippet("complete-example", { YOUR_FEED_ID: journey.topicFeed });
  // What the page cannot know: the messages themselves, with our `include`.
  const watch = `
let confirmed = 0;
ws.on('message', (data) => {
  console.log('FRAME ' + data);
  if (JSON.parse(data).type !== 'subscription-success' || ++confirmed !== 2) return;
  for (const topic of ['BTCUSDT', 'ETHUSDT'])
    ws.send(JSON.stringify({ type: 'subscribe-topic', payload: { feedId: '${journey.topicFeed}', topic, include: ['data'] } }));
});`;
  const printed = run(text + watch, "commonjs", (lines) => framesIn(lines).filter((frame) => frame.type === "topic-data").length >= 2);
  await sendUntil(printed, '[{"s":"BTCUSDT","c":"42150.50"},{"s":"SOLUSDT","c":"1"},{"s":"ETHUSDT","c":"2035.8"},{"c":"3"}]', "/tickers");
  const frames = framesIn(await printed);
  expect(frames[0]).toEqual({ type: "registration-success", payload: { userId: "trader-123", message: "connected" } });
  for (const topic of ["BTCUSDT", "ETHUSDT"]) {
    expect(frames).toContainEqual({ type: "subscription-success", payload: { feedId: journey.topicFeed, topic, type: "topic" } });
  }
  const data = frames.filter((frame) => frame.type === "topic-data").map(({ payload }) => [payload["topic"], payload["data"]]);
  expect(new Set(data.map(([topic]) => topic))).toEqual(new Set(["BTCUSDT", "ETHUSDT"]));
  expect(data).toContainEqual(["BTCUSDT", { s: "BTCUSDT", c: "42150.50" }]);
  // A topic-routed feed never shows raw data.
  expect(frames.filter((frame) => frame.type === "feed-data")).toEqual([]);
});

it("revokes the key: the open socket ends at once, a new one is refused", async () => {
  const socket = await openSocket(system.url);
  expect((await socket.ask("authenticate", { apiKey: journey.key }, "authenticated", "auth_error")).type).toBe("authenticated");
  const revoked = await call("DELETE", `/api/auth/api-keys/${journey.keyId}`);
  expect(revoked.body).toEqual({ success: true, message: "API key revoked successfully" });
  expect((await socket.closed).code).toBe(4401);
  expect(socket.frames.at(-1)).toMatchObject({ type: "auth_error", payload: { error: "API key revoked" } });
  const again = await openSocket(system.url);
  expect(await again.ask("authenticate", { apiKey: journey.key }, "auth_error")).toMatchObject({ payload: { error: "invalid API key" } });
  again.close();
});

it("deletes a feed: its subscribers are told, its upstream is left", async () => {
  const socket = await openSocket(system.url);
  await socket.ask("authenticate", { token: journey.token }, "authenticated");
  await socket.ask("subscribe-topic", { feedId: journey.topicFeed, topic: "BTCUSDT" }, "subscription-success");
  const answer = await call("DELETE", `/api/marketplace/feeds/${journey.topicFeed}`);
  expect(answer.body).toEqual({ success: true, message: "Feed deleted" });
  await socket.frame("feed-deleted", (frame) => frame.type === "feed-deleted" && frame.payload["feedId"] === journey.topicFeed);
  await until("the upstream is left", () => upstream.open("/tickers").length === 0);
  // And logging out ends what the login opened.
  await call("POST", "/api/auth/logout");
  expect((await socket.closed).code).toBe(4401);
  const late = await call("GET", "/api/auth/me");
  expect([late.status, late.body["message"]]).toEqual([401, "invalid token"]);
});

/** A snippet begins to listen at a time of its own, and a feed repeats itself. */
async function sendUntil(done: Promise<unknown>, message: string, feed: string): Promise<void> {
  let isDone = false;
  const finished = done.finally(() => (isDone = true));
  await until(
    "the snippet has seen enough",
    () => {
      upstream.send(message, feed);
      return isDone;
    },
    20_000,
  );
  await finished;
}

function framesIn(lines: string[]): { type: string; payload: Record<string, unknown> }[] {
  // Printed by the lines added to the snippets.
  return lines.filter((line) => line.startsWith("FRAME ")).map((line) => JSON.parse(line.slice(6)) as { type: string; payload: Record<string, unknown> }); // biome-ignore format: one line
}

function idOf(value: unknown): string {
  return String((value as Record<string, unknown>)["_id"]);
}

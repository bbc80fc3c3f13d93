/**
 * The documentation page from its first request to its last example, as printed: only host, ids, keys and addresses are changed. What answers an
 * example is held against what the page shows for it.
 */
import { startUpstream, type UpstreamServer, until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FeedsSystem, isObject, memberOf, startFeedsSystem } from "./support/feeds-system.ts";
import { example, jsonExample, messageExample, type RunningExample, runModule, runShell, runSocketExample } from "./support/page.ts";
import { openSocket, type Socket } from "./support/socket.ts";

let upstream: UpstreamServer;
let feeds: FeedsSystem;
const running: RunningExample[] = [];
const sockets: Socket[] = [];
/** What the page tells the reader to keep. */
const kept = { token: "", userId: "", feedId: "", topicFeedId: "", keyId: "", key: "" };

beforeAll(async () => {
  upstream = await startUpstream();
  feeds = await startFeedsSystem(upstream);
});
afterAll(async () => {
  for (const one of running) await one.stop();
  for (const socket of sockets) socket.cut();
  await feeds?.stop();
  await upstream?.stop();
});

const host = (): [string, string] => ["http://localhost:7210", feeds.url];
const wsHost = (): [string, string] => ["ws://localhost:7210", feeds.wsUrl];
const PAGE_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...";

async function api(method: string, target: string, body?: unknown, status = 200): Promise<Record<string, unknown>> {
  const answer = await fetch(feeds.url + target, {
    method,
    headers: { Authorization: `Bearer ${kept.token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([status, expect.any(String)]);
  return JSON.parse(text) as Record<string, unknown>;
}

async function authenticated(credential: Record<string, string>): Promise<Socket> {
  const socket = await openSocket(feeds.wsUrl);
  sockets.push(socket);
  expect(await socket.answer({ type: "authenticate", payload: credential })).toMatchObject({ type: "authenticated" });
  return socket;
}

function start(text: string): RunningExample {
  const one = runSocketExample(text);
  running.push(one);
  return one;
}

const isData = (frame: string): boolean => frame.startsWith('{"type":"feed-data"');
const isStatus = (frame: string): boolean => frame.startsWith('{"type":"feed-status"');

const usage = {
  currentMonth: expect.stringMatching(/^\d{4}-\d\d$/),
  tokensUsed: 0,
  limit: 1_000_000,
  lastResetDate: expect.any(String),
  overdraftAllowed: true,
};

it("GET /health", async () => {
  const health = (): Promise<Record<string, unknown>> => runShell(`curl ${feeds.url}/health`);
  // Lanes are taken over in the first seconds.
  await until("all is well", async () => (await health())["status"] === "ok");
  expect(new Date(memberOf(await health(), "timestamp")).getTime()).toBeGreaterThan(Date.now() - 60_000);
});

it("register, login, profile", async () => {
  const body = jsonExample("register.json");
  const registered = await api("POST", "/api/auth/register", body, 201);
  expect(registered).toMatchObject({ message: "User registered successfully", success: true });
  expect(registered["user"]).toEqual({
    _id: expect.stringMatching(/^[0-9a-f]{24}$/),
    email: body["email"],
    name: body["name"],
    createdAt: expect.any(String),
    tokenUsage: usage,
    twoFactorEnabled: false,
  });
  const login = await api("POST", "/api/auth/login", jsonExample("login.json"));
  expect(login).toMatchObject({ message: "Login successful", success: true, user: { email: body["email"] } });
  kept.token = memberOf(login, "token");
  kept.userId = memberOf(login, "user", "_id");
  const me = await runShell(example("me.sh.txt", host(), [PAGE_TOKEN, kept.token]));
  expect(me).toMatchObject({ success: true, user: { _id: kept.userId, lastLogin: expect.any(String), tokenUsage: usage } });
  expect(await runModule(example("me.js.txt", host(), [PAGE_TOKEN, kept.token]))).toContain(kept.userId);
});

it("create a custom feed and a topic feed, browse, subscribe", async () => {
  const body = jsonExample("feed.json", ["wss://example.com", upstream.url]);
  const made = await api("POST", "/api/marketplace/feeds", body, 201);
  expect(made).toEqual({
    data: {
      _id: expect.stringMatching(/^[0-9a-f]{24}$/),
      ...body,
      isActive: true,
      isVerified: false,
      feedType: "user",
      userId: kept.userId,
      ownerName: "Your Name",
      connectionMessages: [],
      reconnectionEnabled: true,
      subscriberCount: 0,
      tags: null,
      enableTopicRouting: false,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    },
    success: true,
  });
  kept.feedId = memberOf(made, "data", "_id");
  const topicBody = jsonExample("topic-feed.json", ["wss://stream.binance.com:9443", upstream.url]);
  kept.topicFeedId = memberOf(await api("POST", "/api/marketplace/feeds", topicBody, 201), "data", "_id");

  for (const list of ["", "/popular?limit=10", "/search?q=market&category=finance"]) {
    const listed = await api("GET", `/api/marketplace/feeds${list}`);
    expect(listed).toMatchObject({ count: 1, data: [{ _id: kept.topicFeedId, ...topicBody }], success: true });
  }
  const subscribed = await runShell(example("subscribe.sh.txt", host(), ["65f789...", kept.topicFeedId], ["YOUR_TOKEN", kept.token]));
  expect(subscribed).toEqual({
    message: "Subscribed",
    subscription: {
      _id: expect.stringMatching(/^[0-9a-f]{24}$/),
      userId: kept.userId,
      feedId: kept.topicFeedId,
      subscribedAt: expect.any(String),
      isActive: true,
    },
    success: true,
  });
  // The creator is a subscriber of both from the start.
  expect(await api("GET", "/api/marketplace/subscriptions")).toMatchObject({ success: true, count: 2 });
  expect(await api("POST", `/api/marketplace/unsubscribe/${kept.feedId}`)).toEqual({ success: true, message: "Unsubscribed" });
  const left = await api("GET", "/api/marketplace/subscriptions");
  expect(left).toMatchObject({ count: 1, data: [{ feedId: kept.topicFeedId }] });
});

it("prompts and interval of a feed", async () => {
  const prompts = jsonExample("topic-prompts.json");
  const changed = await api("PUT", `/api/marketplace/feeds/${kept.topicFeedId}`, prompts);
  expect(changed).toMatchObject({ success: true, data: { _id: kept.topicFeedId, ...prompts } });
  const prompt = jsonExample("ai-prompt.json");
  expect(await api("PUT", `/api/marketplace/feeds/${kept.feedId}/ai-prompt`, prompt)).toMatchObject({
    success: true,
    data: { _id: kept.feedId, name: "My Custom Feed", ...prompt },
  });
  const interval = example("query-interval.sh.txt", host(), ["65f789...", kept.topicFeedId], ["YOUR_TOKEN", kept.token]);
  expect(await runShell(interval)).toMatchObject({ success: true, data: { queryInterval: 30 } });
});

it("create and list an API key", async () => {
  const printed = await runModule(example("create-key.js.txt", host(), ["YOUR_JWT_TOKEN", kept.token]));
  kept.key = /^API Key: (ts_live_\w{32}_\w{8})$/m.exec(printed)?.[1] ?? "";
  expect(kept.key).not.toBe("");
  const { apiKeys } = await api("GET", "/api/auth/api-keys");
  expect(apiKeys).toEqual([
    {
      _id: expect.any(String),
      ...jsonExample("create-key.json"),
      prefix: "ts_live_",
      lastChars: kept.key.slice(-8),
      isActive: true,
      createdAt: expect.any(String),
    },
  ]);
  kept.keyId = memberOf(Array.isArray(apiKeys) ? apiKeys[0] : undefined, "_id");
});

it("authenticate with the key and subscribe to a feed: its data comes", async () => {
  const one = start(
    example(
      "authenticate.js.txt",
      wsHost(),
      ["ts_live_a7Kx9mP2nQ5wR8yT4vB6cD1eF3gH0jL5_8dF2aC9b", kept.key],
      ["YOUR_FEED_ID", kept.feedId],
    ),
  );
  await one.when("subscribed", () => one.frames().some((frame) => frame.includes("subscription-success")));
  expect(one.output()).toBe(`✓ Connected to TurboStream\n✓ Authenticated with API key\nAuth type: apikey\nUser ID: ${kept.userId}\n`);
  // Nobody is subscribed over REST any more: the socket alone keeps the upstream connected.
  await until("the upstream is connected", () => upstream.open("/stream").length === 1);
  const weather = '{"temperature":72.5,"humidity":65,"conditions":"Partly Cloudy"}';
  upstream.send(weather, "/stream");
  await one.when("the data", () => one.frames().some((frame) => isData(frame)));
  const frame: unknown = JSON.parse(one.frames().find(isData) ?? "");
  expect(frame).toEqual({
    type: "feed-data",
    payload: {
      feedId: kept.feedId,
      feedName: "My Custom Feed",
      eventName: "",
      data: JSON.parse(weather) as unknown,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    },
  });
});

it("a key without the scope for topics is told so; one with it subscribes by the page's snippet", async () => {
  const topic = example("subscribe-topic.js.txt", ["65f789...", kept.topicFeedId]);
  const first = example("subscribe-feed.js.txt", ["65f456...", kept.feedId]);
  const script = (key: string): string => `
    const ws = new WebSocket("${feeds.wsUrl}/ws");
    ws.onopen = () => ws.send(JSON.stringify({ type: "authenticate", payload: { apiKey: "${key}" } }));
    ws.onmessage = (event) => { if (JSON.parse(event.data).type === "authenticated") { ${first}\n${topic} } };`;
  const narrow = start(script(kept.key));
  await narrow.when("both answers", () => narrow.frames().length >= 3);
  expect(narrow.frames().filter((frame) => !isStatus(frame))).toEqual([
    expect.stringContaining('"authenticated"'),
    `{"type":"subscription-success","payload":{"feedId":"${kept.feedId}","type":"feed-data"}}`,
    `{"type":"subscription-error","payload":{"error":"insufficient permissions","feedId":"${kept.topicFeedId}","topic":"BTCUSDT"}}`,
  ]);
  const made = await api("POST", "/api/auth/api-keys", { name: "Wide", scopes: ["websocket:*"] }, 201);
  const wide = start(script(memberOf(made, "key")));
  await wide.when("both answers", () => wide.frames().filter((frame) => frame.includes("subscription-")).length >= 2);
  expect(wide.frames()).toContain(
    `{"type":"subscription-success","payload":{"feedId":"${kept.topicFeedId}","topic":"BTCUSDT","type":"topic"}}`,
  );
});

it("topics: a list of tickers is routed by its elements, and raw data is never broadcast", async () => {
  const path = "/ws/!ticker@arr";
  await until("the upstream got the page's message", () => upstream.open(path)[0]?.messages.length === 1);
  expect(upstream.open(path)[0]?.messages).toEqual(jsonExample("topic-feed.json")["connectionMessages"]);
  const made = await api("POST", "/api/auth/api-keys", { name: "Topics", scopes: ["websocket:subscribe", "websocket:topic"] }, 201);
  const socket = await authenticated({ apiKey: memberOf(made, "key") });
  const feedId = kept.topicFeedId;
  expect(await socket.answer({ type: "subscribe-feed", payload: { feedId } })).toMatchObject({
    payload: { feedId, type: "feed-data", note: "topic-routed feed: use subscribe-topic" },
  });
  const topic = "BTCUSDT";
  expect((await socket.answer({ type: "subscribe-topic", payload: { feedId, topic, include: ["data"] } })).text).toBe(
    `{"type":"subscription-success","payload":{"feedId":"${feedId}","topic":"BTCUSDT","type":"topic"}}`,
  );
  upstream.send('{"result":null,"id":1}', path);
  upstream.send('[{"s":"ETHUSDT","c":"2035.80"},{"s":"BTCUSDT","c":"42150.50","q":12345678901234567890}]', path);
  const frame = await socket.frame("topic data", ({ type }) => type === "topic-data");
  expect(frame.text).toContain('"data":{"s":"BTCUSDT","c":"42150.50","q":12345678901234567890},');
  expect(frame.payload).toMatchObject({ feedId, topic });
  await socket.ask();
  expect(socket.frames.filter(({ type }) => type.endsWith("-data"))).toHaveLength(1);
});

it.each<{ name: string; host: string; messages: () => string[]; topics: string[] }>([
  { name: "coinbase", host: "wss://ws-feed.exchange.coinbase.com", messages: coinbaseMessages, topics: ["BTC-USD", "ETH-USD"] },
  { name: "bgp", host: "wss://ris-live.ripe.net", messages: () => [messageExample("bgp-message.jsonc")], topics: ["40138"] },
  {
    name: "kraken",
    host: "wss://ws.kraken.com",
    messages: () => [messageExample("kraken-message.jsonc", ["[[...]]", '[["5541.20000","0.15850568","1534614057.321597","s","l",""]]'])],
    topics: ["XBT/USD"],
  },
])("the page's example $name: its messages become its topics", async ({ name, host: from, messages, topics }) => {
  const body = jsonExample(`${name}-feed.jsonc`, [from, `${upstream.url}/${name}`]);
  const path = new URL(memberOf(body, "url")).pathname;
  upstream.behave(path, { afterMessages: 1 });
  const feedId = memberOf(await api("POST", "/api/marketplace/feeds", body, 201), "data", "_id");
  const socket = await authenticated({ token: kept.token });
  for (const topic of topics) {
    // The BGP origin is a number to people, too.
    const asked = name === "bgp" ? Number(topic) : topic;
    expect(await socket.answer({ type: "subscribe-topic", payload: { feedId, topic: asked, include: ["data"] } })).toMatchObject({
      type: "subscription-success",
      payload: { feedId, topic, type: "topic" },
    });
  }
  await until("the upstream got the page's message", () => upstream.open(path)[0]?.messages.length === 1);
  expect(upstream.open(path)[0]?.messages).toEqual(body["connectionMessages"]);
  for (const message of messages()) upstream.send(message, path);
  await socket.when("the topics", () => socket.of("topic-data").length >= topics.length);
  expect(socket.of("topic-data").map(({ payload }) => [payload["topic"], payload["data"]])).toEqual(
    messages().map((text, i) => [topics[i], JSON.parse(text) as unknown]),
  );
});

function coinbaseMessages(): string[] {
  // Two objects, one after the other.
  return messageExample(
    "coinbase-messages.jsonc",
    ["}\n{", "},\n{"],
    ['{\n"type": "ticker",\n"sequence": 93483876225', '[{\n"type": "ticker",\n"sequence": 93483876225'],
    ['0.001"\n}\n', '0.001"\n}]\n'],
  )
    .slice(1, -1)
    .split(/(?<=\}),(?=\{)/);
}

it("the complete example: register-user and two topics of a public feed, without a login", async () => {
  const one = start(example("complete-example.js.txt", wsHost(), ["YOUR_FEED_ID", kept.topicFeedId]));
  await one.when("the answers", () => one.frames().filter((frame) => !isStatus(frame)).length >= 3);
  expect(one.output()).toBe("✓ Connected\n");
  expect(one.frames().filter((frame) => !isStatus(frame))).toEqual([
    '{"type":"registration-success","payload":{"userId":"trader-123","message":"connected"}}',
    `{"type":"subscription-success","payload":{"feedId":"${kept.topicFeedId}","topic":"BTCUSDT","type":"topic"}}`,
    `{"type":"subscription-success","payload":{"feedId":"${kept.topicFeedId}","topic":"ETHUSDT","type":"topic"}}`,
  ]);
  // With `include` the same anonymous reader sees the topic's data; of a private feed, nothing.
  const socket = await openSocket(feeds.wsUrl);
  sockets.push(socket);
  await socket.ask({ type: "register-user", payload: { userId: "trader-123" } });
  const payload = { userId: kept.userId, feedId: kept.topicFeedId, topic: "ETHUSDT", include: ["data"] };
  expect(await socket.answer({ type: "subscribe-topic", payload })).toMatchObject({ type: "subscription-success" });
  expect(await socket.answer({ type: "subscribe-feed", payload: { userId: kept.userId, feedId: kept.feedId } })).toMatchObject({
    type: "subscription-error",
    payload: { error: "feed not found" },
  });
  upstream.send('{"s":"ETHUSDT","c":"2036.00"}', "/ws/!ticker@arr");
  const frame = await socket.frame("topic data", ({ type }) => type === "topic-data");
  expect(isObject(frame.payload["data"]) && frame.payload["data"]["c"]).toBe("2036.00");
});

it("revoke the key: every example that used it ends at once", async () => {
  const revoked = await runShell(example("revoke-key.sh.txt", host(), ["65f999abc123...", kept.keyId], ["YOUR_JWT_TOKEN", kept.token]));
  expect(revoked).toEqual({ success: true, message: "API key revoked successfully" });
  const [first] = running;
  if (!first) throw new Error("no example runs");
  await first.when("told", () => first.frames().at(-1)?.includes("API key revoked") === true);
});

it("delete a feed: its subscribers are told and its upstream is left", async () => {
  const path = "/ws/!ticker@arr";
  const socket = await authenticated({ token: kept.token });
  const payload = { feedId: kept.topicFeedId, topic: "BTCUSDT" };
  expect(await socket.answer({ type: "subscribe-topic", payload })).toMatchObject({ type: "subscription-success" });
  expect(upstream.mostAtOnce(path)).toBe(1);
  expect(await api("DELETE", `/api/marketplace/feeds/${kept.topicFeedId}`)).toEqual({ success: true, message: "Feed deleted" });
  const told = await socket.frame("told", ({ type }) => type === "feed-deleted");
  expect(told.payload).toEqual({ feedId: kept.topicFeedId });
  await until("the upstream is left", () => upstream.open(path).length === 0);
});

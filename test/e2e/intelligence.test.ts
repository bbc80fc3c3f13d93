/**
 * Intelligence through the whole system: an upstream, a model provider of the OpenAI protocol, the public port. Automatic analyses on `/ws` from
 * cold, changed cadence, plain feeds, questions on socket and REST, one bill for all of them. Limits are those of a quiet machine, stretched
 * by the run queue.
 */
import { type LlmServer, startLlmServer, startUpstream, type UpstreamServer, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { busyFactor } from "../fault/support/bar.ts";
import { type Account, type FeedsSystem, startFeedsSystem } from "./support/feeds-system.ts";
import { openSocket, type Socket, type SocketFrame } from "./support/socket.ts";

const TOKENS_PER_CALL = 150;

let upstream: UpstreamServer;
let provider: LlmServer;
let feeds: FeedsSystem;
let owner: Account;
const sockets: Socket[] = [];

beforeAll(async () => {
  upstream = await startUpstream({
    behaviour: { frames: ["BTC", "ETH"].map((s) => JSON.stringify({ s, price: 100 })), everyMs: 100, repeat: true },
  });
  provider = await startLlmServer({ answer: () => ["Prices ", "are", "  rising."] });
  feeds = await startFeedsSystem(upstream, {
    env: {
      OPENAI_API_KEY: "k",
      OPENAI_BASE_URL: `${provider.url}/v1`,
      ANTHROPIC_API_KEY: "k",
      ANTHROPIC_BASE_URL: provider.url,
      GOOGLE_API_KEY: "k",
      GOOGLE_BASE_URL: provider.url,
      OLLAMA_BASE_URL: provider.url,
    },
  });
  owner = await feeds.register("owner");
});
// What a test listened to costs calls in the next one.
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(async () => {
  await feeds?.stop();
  await provider?.stop();
  await upstream?.stop();
});

async function login(account: Account): Promise<Socket> {
  const socket = await openSocket(feeds.wsUrl);
  sockets.push(socket);
  expect(await socket.answer({ type: "authenticate", payload: { token: account.token } })).toMatchObject({ type: "authenticated" });
  return socket;
}

function topicFeed(name: string, more: Record<string, unknown> = {}): Promise<string> {
  return owner.createFeed({ name, url: `${upstream.url}/${name}`, enableTopicRouting: true, topicField: "s", ...more });
}

const analysesOf = (socket: Socket, topic: string): SocketFrame[] =>
  socket.of("llm-intelligence").filter(({ payload }) => payload["topic"] === topic);
const timesOf = (frames: readonly SocketFrame[]): number[] => frames.map(({ payload }) => Date.parse(String(payload["timestamp"])));

it("the first subscriber of a cold topic is answered within two seconds and one call; others of the feed hear nothing of it (W14)", async () => {
  const feedId = await topicFeed("cold");
  const [socket, other] = [await login(owner), await login(owner)];
  await other.ask({ type: "subscribe-topic", payload: { feedId, topic: "ETH" } });
  other.frames.length = 0;
  const begun = performance.now();
  await socket.ask({ type: "subscribe-topic", payload: { feedId, topic: "BTC" } });
  const first = await socket.frame("an analysis", ({ type }) => type === "llm-intelligence");
  expect(performance.now() - begun).toBeLessThan(2_000 + 500 * busyFactor());
  expect(first.payload).toEqual({
    feedId,
    topic: "BTC",
    analysis: "Prices are  rising.",
    provider: "openai",
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  });
  expect(analysesOf(other, "BTC")).toEqual([]);
  // No raw data of a routed feed, and nothing else than the topic's own.
  expect(new Set(socket.frames.map(({ type }) => type))).toEqual(
    new Set(
      ["authenticated", "subscription-success", "pong", "feed-status", "llm-intelligence"].filter((type) => socket.of(type).length > 0),
    ),
  );
});

it("a changed interval applies within one tick; with the last subscriber the calls end (W15)", async () => {
  const feedId = await topicFeed("cadence", { queryInterval: 60 });
  const socket = await login(owner);
  await socket.ask({ type: "subscribe-topic", payload: { feedId, topic: "BTC" } });
  await socket.when("the first analysis", () => analysesOf(socket, "BTC").length === 1);
  const begun = performance.now();
  await owner.ok("PUT", `/api/marketplace/feeds/${feedId}`, { queryInterval: 5 });
  await socket.when("the second analysis", () => analysesOf(socket, "BTC").length === 2, 60_000);
  expect(performance.now() - begun).toBeLessThan(5_000 + 1_000 * busyFactor());
  await socket.when("two more", () => analysesOf(socket, "BTC").length === 4, 60_000);
  const times = timesOf(analysesOf(socket, "BTC"));
  const gaps = times.slice(2).map((time, i) => time - (times[i + 1] ?? 0));
  for (const gap of gaps) expect(Math.abs(gap - 5_000)).toBeLessThan(500 * busyFactor());
  await socket.ask({ type: "unsubscribe-topic", payload: { feedId, topic: "BTC" } });
  // The other subscriber of this system shows that time goes on.
  const calls = provider.calls().length;
  const watch = await login(owner);
  const second = await topicFeed("watch", { queryInterval: 5 });
  await watch.ask({ type: "subscribe-topic", payload: { feedId: second, topic: "ETH" } });
  await watch.when("two ticks of another feed", () => analysesOf(watch, "ETH").length === 2, 60_000);
  expect(provider.calls().length - calls).toBe(2);
});

it("a plain feed is analysed while its owner wants it", async () => {
  const feedId = await owner.createFeed({ name: "plain", url: `${upstream.url}/plain`, isPublic: true, queryInterval: 5 });
  const stranger = await feeds.register("stranger");
  const [mine, theirs] = [await login(owner), await login(stranger)];
  for (const socket of [mine, theirs]) await socket.ask({ type: "subscribe-llm", payload: { feedId } });
  expect(await theirs.answer({ type: "toggle-auto-analysis", payload: { feedId, enabled: true } })).toMatchObject({
    type: "llm-error",
    payload: { error: "insufficient permissions" },
  });
  expect(await mine.answer({ type: "toggle-auto-analysis", payload: { feedId, enabled: true } })).toMatchObject({
    type: "auto-analysis-toggled",
    payload: { feedId, enabled: true },
  });
  for (const socket of [mine, theirs]) {
    const { payload } = await socket.frame("a broadcast", ({ type }) => type === "llm-broadcast");
    expect(payload).toMatchObject({ feedId, answer: "Prices are  rising.", provider: "openai" });
  }
  await mine.answer({ type: "toggle-auto-analysis", payload: { feedId, enabled: false } });
  // The owner pays, the stranger does not.
  expect(await stranger.tokensUsed()).toBe(0);
});

it.each([
  ["openai", "openai"],
  ["anthropic", "anthropic"],
  ["gemini", "gemini"],
  ["ollama", "ollama"],
] as const)("a feed that names %s is analysed by it, over its own protocol", async (name, protocol) => {
  const feedId = await topicFeed(`by ${name}`.replace(" ", "-"), { provider: name });
  const socket = await login(owner);
  const before = provider.calls(protocol).length;
  await socket.ask({ type: "subscribe-topic", payload: { feedId, topic: "ETH" } });
  const { payload } = await socket.frame("an analysis", ({ type }) => type === "llm-intelligence");
  expect(payload).toMatchObject({ feedId, topic: "ETH", analysis: "Prices are  rising.", provider: name });
  expect(provider.calls(protocol).length - before).toBe(1);
  await socket.ask({ type: "llm-query", payload: { feedId, topic: "ETH", question: "Up?", provider: name } });
  const answer = await socket.frame("an answer", ({ type }) => type === "llm-response");
  expect(answer.payload).toMatchObject({ answer: "Prices are  rising.", provider: name });
  expect(provider.calls(protocol).length - before).toBe(2);
});

it("questions are answered in order on the socket and on REST; everything is billed alike (W19)", async () => {
  const asker = await feeds.register("asker");
  const feedId = await topicFeed("asked", { isPublic: true });
  const socket = await login(asker);
  const ownerBefore = await owner.tokensUsed();
  socket.send({ type: "llm-query", payload: { feedId, topic: "BTC", question: "Up?", requestId: "a" } });
  const plain = await socket.frame("a response", ({ type }) => type === "llm-response");
  expect(plain.payload["requestId"]).toBe("a");
  socket.send({ type: "llm-query-stream", payload: { feedId, topic: "BTC", question: "Up?", requestId: "b" } });
  const complete = await socket.frame("the end of a stream", ({ type }) => type === "llm-complete");
  const types = socket.frames.map(({ type }) => type).filter((type) => type.startsWith("llm-") || type === "token-usage-update");
  expect(types.slice(0, 2)).toEqual(["token-usage-update", "llm-response"]);
  expect(types.at(-2)).toBe("token-usage-update");
  expect(
    socket
      .of("llm-token")
      .map(({ payload }) => payload["token"])
      .join(""),
  ).toBe(complete.payload["answer"]);
  const answer = await asker.ok("POST", "/api/llm/query", { feedId, topic: "BTC", question: "Up?" });
  expect(answer).toMatchObject({ answer: expect.any(String), provider: "openai" });
  const calls = types.filter((type) => type === "token-usage-update").length + 1;
  await until("three bills", async () => (await asker.tokensUsed()) === calls * TOKENS_PER_CALL);
  expect(await owner.tokensUsed()).toBe(ownerBefore);
});

it("the owner's bill is what the provider counted, once per call", async () => {
  // Three calls were the asker's.
  const paid = provider.calls().length - 3;
  await until("the bills", async () => (await owner.tokensUsed()) === paid * TOKENS_PER_CALL);
});

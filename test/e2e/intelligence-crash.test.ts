/**
 * Intelligence killed with -9 in the middle of an automatic analysis and of a streamed answer, whole system, a process per service: nobody pays
 * twice, sockets are told, the next tick goes on. A provider that hangs stops nothing but its own answers.
 */
import { type LlmServer, startLlmServer, startUpstream, type UpstreamServer, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { busyFactor } from "../fault/support/bar.ts";
import { type Account, type FeedsSystem, startFeedsSystem } from "./support/feeds-system.ts";
import { openSocket, type Socket } from "./support/socket.ts";

const TOKENS_PER_CALL = 150;
const KILLED = "intelligence-0";

let upstream: UpstreamServer;
let provider: LlmServer;
let feeds: FeedsSystem;
const sockets: Socket[] = [];

beforeAll(async () => {
  upstream = await startUpstream({ behaviour: { frames: [JSON.stringify({ s: "BTC", price: 100 })], everyMs: 100, repeat: true } });
  provider = await startLlmServer();
  feeds = await startFeedsSystem(upstream, {
    args: ["--per-service"],
    env: { OPENAI_API_KEY: "k", OPENAI_BASE_URL: `${provider.url}/v1`, LOG_LEVEL: "error" },
  });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
  provider.behave({ kind: "answer" });
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

function topicFeed(account: Account, name: string): Promise<string> {
  const url = `${upstream.url}/${name}`;
  return account.createFeed({ name, url, enableTopicRouting: true, topicField: "s", queryInterval: 5 });
}

it("in the middle of an automatic analysis: the next tick goes on, and each answer was paid for once", async () => {
  const owner = await feeds.register("auto");
  const feedId = await topicFeed(owner, "auto");
  provider.behave({ kind: "hang" });
  const socket = await login(owner);
  await socket.ask({ type: "subscribe-topic", payload: { feedId, topic: "BTC" } });
  await until("the provider is asked", () => provider.open() === 1, 20_000);
  provider.behave({ kind: "answer" });
  const asked = provider.calls().length;
  await feeds.restart(KILLED, "SIGKILL");
  expect(socket.of("llm-intelligence")).toEqual([]);
  await socket.when("two analyses", () => socket.of("llm-intelligence").length >= 2, 60_000);
  await socket.ask({ type: "unsubscribe-topic", payload: { feedId, topic: "BTC" } });
  const answered = provider.calls().length - asked;
  await until("the bills", async () => (await owner.tokensUsed()) === answered * TOKENS_PER_CALL);
  expect(socket.of("llm-error")).toEqual([]);
  expect(socket.isOpen()).toBe(true);
});

it("in the middle of a streamed answer: the asker is told within 15 s, and can ask again", async () => {
  const owner = await feeds.register("stream");
  const feedId = await topicFeed(owner, "stream");
  const socket = await login(owner);
  await socket.ask({ type: "subscribe-feed", payload: { feedId } });
  await until("there is data", async () => (await owner.ok("GET", `/api/llm/context/${feedId}`))["hasContext"] === true);
  provider.behave({ kind: "answer", pieces: Array.from({ length: 400 }, (_, i) => `word${i} `), everyMs: 50 });
  socket.send({ type: "llm-query-stream", payload: { feedId, topic: "BTC", question: "Up?", requestId: "s" } });
  await socket.when("tokens", () => socket.of("llm-token").length >= 3);
  const before = await owner.tokensUsed();
  const begun = performance.now();
  const failed = socket
    .frame("an error", ({ type, payload }) => type === "llm-error" && payload["requestId"] === "s", 30_000)
    .then(({ payload }) => ({ payload, afterMs: performance.now() - begun }));
  await feeds.restart(KILLED, "SIGKILL");
  const failure = await failed;
  expect(failure.afterMs).toBeLessThan(15_000 + 1_000 * busyFactor());
  expect(failure.payload["error"]).toBe("request timed out");
  expect(socket.of("llm-complete")).toEqual([]);
  expect((await owner.tokensUsed()) - before).toBe(0);
  provider.behave({ kind: "answer" });
  socket.send({ type: "llm-query", payload: { feedId, topic: "BTC", question: "Up?", requestId: "again" } });
  const again = await socket.frame("an answer", ({ type, payload }) => type === "llm-response" && payload["requestId"] === "again");
  expect(again.payload["answer"]).toBe("Prices are rising.");
  await until("one bill", async () => (await owner.tokensUsed()) === TOKENS_PER_CALL);
});

it("one owner's hanging provider does not hold up another owner's analyses or anybody's data", async () => {
  const [slow, quick] = [await feeds.register("slow"), await feeds.register("quick")];
  const hanging = await topicFeed(slow, "slow");
  provider.behave({ kind: "hang" });
  const waiting = await login(slow);
  await waiting.ask({ type: "subscribe-topic", payload: { feedId: hanging, topic: "BTC", include: ["data"] } });
  await until("the provider hangs", () => provider.open() >= 1, 20_000);
  provider.behave({ kind: "answer" });
  const fine = await topicFeed(quick, "quick");
  const socket = await login(quick);
  await socket.ask({ type: "subscribe-topic", payload: { feedId: fine, topic: "BTC" } });
  await socket.when("an analysis", () => socket.of("llm-intelligence").length >= 1);
  const heard = waiting.of("topic-data").length;
  await waiting.when("data of the waiting feed", () => waiting.of("topic-data").length > heard + 5);
  expect(waiting.of("llm-intelligence")).toEqual([]);
});

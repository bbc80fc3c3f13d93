/** Automatic answers from ANALYSES to the sockets that listen to their topic or to the intelligence of their feed. */
import { subjects } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const PLAIN = "65f456abc1230a1b2c3d4e01";
const TOPICS = "65f456abc1230a1b2c3d4e02";
const TS = Date.parse("2026-01-30T15:45:30.123Z");
const TIME = "2026-01-30T15:45:30.123Z";

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: SocketClient[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge();
  for (const tenant of ["acme", "other"]) fixture.addSession(tenant, tenant);
});
beforeEach(async () => {
  await fixture.addFeed(PLAIN, "acme", { isPublic: true });
  await fixture.addFeed(TOPICS, "acme", { isPublic: true, enableTopicRouting: true, topicField: "s" });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
  await until("nobody reads", () => !analyses().reading);
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
const topic = (name: string, more: object = {}) => msg("subscribe-topic", { feedId: TOPICS, topic: name, ...more });
const llm = (feedId: string) => msg("subscribe-llm", { feedId });
async function listen(token: string, ...messages: unknown[]): Promise<SocketClient> {
  const socket = await openSocket(edge.url);
  sockets.push(socket);
  await socket.ask(msg("authenticate", { token }), ...messages);
  expect(socket.of("subscription-success")).toHaveLength(messages.length);
  return socket;
}
/** What the edge says of its reader. */
const analyses = (running = edge) => running.service.status()["analyses"] as { reading: boolean; position: number; framesRead: number };
/** Everything that is stored now has been handed to the sockets. */
const settled = () => edge.service.settled();
const pushed = (socket: SocketClient) =>
  socket.texts.filter((text) => /^\{"type":"(llm-intelligence|llm-broadcast|llm-error|gap)"/.test(text));

const intelligence = (name: string, analysis: string) =>
  JSON.stringify({ type: "llm-intelligence", payload: { feedId: TOPICS, topic: name, analysis, provider: "openai", timestamp: TIME } });
const broadcast = (feedId: string, answer: string) =>
  JSON.stringify({ type: "llm-broadcast", payload: { feedId, answer, provider: "openai", timestamp: TIME } });

describe("who gets what", () => {
  it("a topic's answers go to its subscribers, a feed's to those who want its intelligence, with the bytes of the log", async () => {
    const btc = await listen("acme", topic("BTC"));
    const both = await listen("other", topic("BTC", { include: ["data"] }), topic("ETH"));
    const whole = await listen("acme", llm(TOPICS), msg("subscribe-all", { feedId: PLAIN }));
    const raw = await listen("acme", msg("subscribe-feed", { feedId: PLAIN }), msg("subscribe-feed", { feedId: TOPICS }));
    await fixture.publishAnalyses([
      { feedId: TOPICS, topic: "BTC", text: "up\n2%", ts: TS },
      { feedId: TOPICS, topic: "ETH", text: "flat", ts: TS },
      { feedId: TOPICS, topic: "btc", text: "another topic", ts: TS },
    ]);
    await fixture.publishAnalyses([{ feedId: PLAIN, text: "calm", ts: TS }], { lane: 3 });
    await fixture.publishAnalyses([{ feedId: TOPICS, text: "as a whole", ts: TS }]);
    await settled();
    for (const socket of [btc, both, whole, raw]) await socket.ask();
    expect(pushed(btc)).toEqual([intelligence("BTC", "up\n2%")]);
    expect(pushed(both)).toEqual([intelligence("BTC", "up\n2%"), intelligence("ETH", "flat")]);
    expect(pushed(whole)).toEqual([broadcast(PLAIN, "calm"), broadcast(TOPICS, "as a whole")]);
    expect(pushed(raw)).toEqual([]);
  });

  it("failures go the same way", async () => {
    const one = await listen("acme", topic("BTC"));
    const whole = await listen("acme", llm(PLAIN));
    await fixture.publishAnalyses([
      { feedId: TOPICS, topic: "BTC", error: "openai error: overloaded" },
      { feedId: PLAIN, error: "token quota exceeded" },
    ]);
    await Promise.all([one.received("llm-error", 1), whole.received("llm-error", 1)]);
    expect(pushed(one)).toEqual([
      JSON.stringify({ type: "llm-error", payload: { error: "openai error: overloaded", feedId: TOPICS, topic: "BTC" } }),
    ]);
    expect(pushed(whole)).toEqual([JSON.stringify({ type: "llm-error", payload: { error: "token quota exceeded", feedId: PLAIN } })]);
  });

  it("one copy each, however often it was subscribed", async () => {
    const socket = await listen("acme", topic("BTC"), topic("BTC", { include: ["data"] }), topic("BTC"));
    await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "once", ts: TS }]);
    await settled();
    await socket.ask();
    expect(pushed(socket)).toEqual([intelligence("BTC", "once")]);
  });

  it("in the order of the log, every one", async () => {
    const socket = await listen("acme", topic("BTC"));
    for (let i = 0; i < 50; i++) await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: `${i}`, ts: TS }], { lane: i % 16 });
    await socket.received("llm-intelligence", 50);
    expect(pushed(socket)).toEqual(Array.from({ length: 50 }, (_, i) => intelligence("BTC", `${i}`)));
  });

  it("nothing after leaving, after the feed became private, after it was deleted", async () => {
    const left = await listen("acme", topic("BTC"), llm(PLAIN));
    const stranger = await listen("other", topic("BTC"), llm(PLAIN));
    const owner = await listen("acme", topic("BTC"));
    await left.ask(msg("unsubscribe-topic", { feedId: TOPICS, topic: "BTC" }), msg("unsubscribe-feed", { feedId: PLAIN }));
    await fixture.addFeed(TOPICS, "acme", { enableTopicRouting: true, topicField: "s" });
    await fixture.removeFeed(PLAIN);
    await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "private", ts: TS }]);
    await fixture.publishAnalyses([{ feedId: PLAIN, text: "late" }]);
    await settled();
    for (const socket of [left, stranger, owner]) await socket.ask();
    expect(pushed(left)).toEqual([]);
    expect(pushed(stranger)).toEqual([]);
    expect(pushed(owner)).toEqual([intelligence("BTC", "private")]);
  });

  it("cursors and history are for data: an answer has no cursor and is not replayed", async () => {
    const first = await listen("acme", topic("BTC", { include: ["data"] }));
    await first.ask(msg("resume"));
    await fixture.publishTopics([{ feedId: TOPICS, topic: "BTC", data: "1" }]);
    await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "one", ts: TS }]);
    const [data] = await first.received("topic-data", 1);
    await first.received("llm-intelligence", 1);
    expect(data?.cursor).toBeDefined();
    expect(pushed(first)).toEqual([intelligence("BTC", "one")]);
    const again = await listen("acme", topic("BTC", { include: ["data"], since: TS }));
    await again.received("topic-data", 1);
    await settled();
    await again.ask();
    expect(pushed(again)).toEqual([]);
  });
});

describe("the reader", () => {
  it("runs only while somebody wants answers, and the first one after a subscription is not missed", async () => {
    const socket = await listen("acme", msg("subscribe-feed", { feedId: PLAIN }));
    expect(analyses().reading).toBe(false);
    for (let round = 0; round < 5; round++) {
      await socket.ask(topic("BTC"));
      expect(analyses().reading).toBe(true);
      await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: `round ${round}`, ts: TS }]);
      await socket.received("llm-intelligence", round + 1);
      await socket.ask(msg("unsubscribe-topic", { feedId: TOPICS, topic: "BTC" }));
      await until("nobody reads", () => !analyses().reading);
    }
    // The raw subscription was there all the time.
    await fixture.publishTopics([{ feedId: PLAIN, data: "1" }]);
    await socket.received("feed-data", 1);
  });

  it("keeps what a subscription in the making needs, whatever ends meanwhile", async () => {
    for (let round = 0; round < 10; round++) {
      const socket = await listen("acme", llm(PLAIN));
      // The only subscription ends while the broker is asked where the next one begins.
      socket.send(topic(`t${round}`, { include: ["data"], since: Date.now() }));
      await fixture.removeFeed(PLAIN);
      await socket.received("subscription-success", 2);
      await fixture.publishTopics([{ feedId: TOPICS, topic: `t${round}`, data: "1" }]);
      await fixture.publishAnalyses([{ feedId: TOPICS, topic: `t${round}`, text: "here", ts: TS }]);
      await socket.received("topic-data", 1);
      await socket.received("llm-intelligence", 1);
      await fixture.addFeed(PLAIN, "acme", { isPublic: true });
      await socket.close();
    }
  });

  it("parks a damaged frame, tells its listeners, and goes on", async () => {
    const socket = await listen("acme", topic("BTC"));
    const { seq } = await fixture.publisher.publish(subjects.lane("analyses", 0), "{damaged");
    await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "next", ts: TS }]);
    await socket.received("llm-intelligence", 1);
    expect(pushed(socket)).toEqual([
      JSON.stringify({ type: "gap", payload: { feedId: TOPICS, topic: "BTC", reason: "retention" } }),
      intelligence("BTC", "next"),
    ]);
    expect(analyses().position).toBe(seq + 1);
  });

  it("goes on where it was after the broker died", async () => {
    const socket = await listen("acme", topic("BTC"));
    await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "before", ts: TS }]);
    await socket.received("llm-intelligence", 1);
    fixture.nats.kill();
    await until("it is back", () => fixture.client.connected());
    await until("it may be written", async () => {
      try {
        await fixture.publishAnalyses([{ feedId: TOPICS, topic: "BTC", text: "after", ts: TS }]);
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        return false;
      }
    });
    await socket.when("the answer after", () => pushed(socket).includes(intelligence("BTC", "after")));
    expect(pushed(socket)[0]).toBe(intelligence("BTC", "before"));
    expect(socket.of("gap")).toEqual([]);
  });
});

it("a slow client loses data, never an answer", async () => {
  const small = await fixture.startEdge({ config: { WS_MAX_BUFFERED_BYTES: 256 * 1024, WS_MAX_FULL_MS: 60_000 }, instanceId: "edge-slow" });
  const slow = await openSocket(small.url);
  sockets.push(slow);
  await slow.ask(msg("authenticate", { token: "acme" }), topic("BTC", { include: ["data"] }), llm(TOPICS));
  slow.ws.pause();
  const filler = JSON.stringify("x".repeat(20_000));
  const dropped = () => Number(small.service.status()["framesDropped"]);
  let answers = 0;
  for (let frame = 0; frame < 2_000 && dropped() < 200; frame++) {
    await fixture.publishTopics(Array.from({ length: 5 }, () => ({ feedId: TOPICS, topic: "BTC", data: filler })));
    if (frame % 10 === 0) {
      await fixture.publishAnalyses([
        { feedId: TOPICS, topic: "BTC", text: `${answers}`, ts: TS },
        { feedId: TOPICS, text: `${answers}`, ts: TS },
      ]);
      answers++;
    }
  }
  expect(dropped()).toBeGreaterThanOrEqual(200);
  slow.ws.resume();
  await slow.received("llm-broadcast", answers);
  await slow.received("llm-intelligence", answers);
  const texts = slow.of("llm-intelligence").map((frame) => frame.payload["analysis"]);
  expect(texts).toEqual(Array.from({ length: answers }, (_, i) => `${i}`));
  const lost = slow.of("gap").reduce((sum, gap) => sum + Number(gap.payload["dropped"]), 0);
  expect(lost).toBeGreaterThanOrEqual(200);
  await small.stop();
});

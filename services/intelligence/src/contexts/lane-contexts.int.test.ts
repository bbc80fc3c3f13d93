/** Contexts out of a real log: rebuilt after restarts and moves, bounded, and unharmed by damaged frames. */
import { callLane, RpcError } from "@headwater/messaging";
import { encodeFrame, feedKeys, type FrameHeader, laneOf, subjects } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, inject, it } from "vitest";
import { feedRecord } from "../testing/feed-record.ts";
import { ALICE, type Instance, IntelligenceFixture } from "../testing/intelligence-fixture.ts";

let fixture: IntelligenceFixture;
const running: Instance[] = [];
let lastId = 0;

beforeAll(async () => {
  fixture = await IntelligenceFixture.open(inject("databaseUrl"));
});
afterEach(async () => {
  for (const instance of running.splice(0)) await instance.stop();
});
afterAll(() => fixture.close());

async function start(env: Record<string, string> = {}, id?: string): Promise<Instance> {
  const instance = await fixture.start(env, id);
  running.push(instance);
  return instance;
}

async function newFeed(change: Parameters<typeof feedRecord>[1] = {}): Promise<string> {
  const id = `65f789abc1230a1b2c${(++lastId).toString(16).padStart(6, "0")}`;
  await fixture.feed(feedRecord(id, change));
  return id;
}

async function entries(instance: Instance, feedId: string, topic?: string): Promise<unknown[]> {
  const query = topic === undefined ? "" : `?topic=${encodeURIComponent(topic)}`;
  const { text } = await fixture.ask(instance, "GET", `/api/llm/context/${feedId}${query}`, { token: ALICE });
  return (JSON.parse(text) as { entries: unknown[] }).entries;
}
const lanesOf = ({ service }: Instance): string[] => (service.status()["lanes"] as { state: string }[]).map(({ state }) => state);

it("are the same after a restart, of topics and of plain feeds", async () => {
  const routed = await newFeed();
  const plain = await newFeed({ enableTopicRouting: false });
  const first = await start({ LLM_CONTEXT_LIMIT: "3" });
  for (let n = 0; n < 6; n++) {
    await fixture.put({ feedId: routed, topic: n % 2 === 0 ? "even" : "odd: ✓", json: `{"n":${n}}` });
    await fixture.put({ feedId: plain, json: n === 5 ? '"a text"' : `[${n}]` });
  }
  await first.service.settled();
  const views = (instance: Instance) =>
    Promise.all([entries(instance, routed), entries(instance, routed, "odd: ✓"), entries(instance, plain), entries(instance, plain, "x")]);
  const before = await views(first);
  expect(before.map((list) => list.length)).toEqual([3, 3, 3, 0]);
  expect(before[1]).toMatchObject([{ n: 5 }, { n: 3 }, { n: 1 }]);
  expect(before[2]).toMatchObject([{ raw: "a text" }, { raw: [4] }, { raw: [3] }]);
  await first.stop();
  await fixture.put({ feedId: plain, json: '{"while":"away"}' });
  const second = await start({ LLM_CONTEXT_LIMIT: "3" });
  const after = await views(second);
  expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
  expect(after[2]).toMatchObject([{ while: "away" }, { raw: "a text" }, { raw: [4] }]);
});

it("miss nothing and repeat nothing of what comes while a lane is rebuilt", async () => {
  const feedId = await newFeed();
  for (let n = 0; n < 300; n++) await fixture.put({ feedId, topic: "t", json: `{"n":${n}}` });
  let isWriting = true;
  let n = 300;
  const writing = (async () => {
    while (isWriting) await fixture.put({ feedId, topic: "t", json: `{"n":${n++}}` });
  })();
  const instance = await start({ LLM_CONTEXT_LIMIT: "500" });
  isWriting = false;
  await writing;
  await instance.service.settled();
  const numbers = (await entries(instance, feedId, "t")).map((entry) => (entry as { n: number }).n);
  expect(numbers).toEqual(Array.from({ length: Math.min(n, 500) }, (_, i) => n - 1 - i));
});

it("move with their lane, and only the owner answers for them", async () => {
  const feedId = await newFeed();
  await fixture.put({ feedId, topic: "t", json: '{"n":1}' });
  const one = await start();
  const two = await start({}, "intelligence-1");
  await until("the lanes are shared", () => [one, two].every((instance) => lanesOf(instance).join() === Array(8).fill("live").join()));
  expect(await entries(one, feedId)).toEqual(await entries(two, feedId));
  const ask = (payload: unknown, verb = "context") =>
    callLane(fixture.nats, "analyses", laneOf(feedId), verb, payload, { deadlineMs: 2_000 });
  expect(await ask({ feedId, userId: "u" })).toMatchObject({ window: { entries: [{ json: '{"n":1}' }] }, memory: [] });
  for (const verb of ["context", "memory", "clear", "broadcast"]) {
    const refused = ask({ nonsense: true }, verb);
    await expect(refused).rejects.toBeInstanceOf(RpcError);
    await expect(refused).rejects.toMatchObject({ code: "invalid_request" });
  }
  await one.stop();
  await until("the other one has all lanes", () => lanesOf(two).join() === Array(16).fill("live").join(), 20_000);
  expect(await entries(two, feedId)).toMatchObject([{ n: 1 }]);
});

it("skip what is no frame, and go on", async () => {
  const feedId = await newFeed();
  await fixture.put({ feedId, topic: "t", json: '{"n":1}' });
  await fixture.putRaw(feedId, "garbage");
  const header: FrameHeader = {
    v: 1,
    family: "topics",
    gen: "g1",
    epoch: 1,
    in: 1,
    reg: 1,
    regs: [],
    n: 1,
    keys: [feedKeys.topic(feedId, "t")],
  };
  await fixture.putRaw(feedId, encodeFrame(header, [{ wire: "{}", ext: '{"k":0,"ts":1,"p":[1,0]}' }]));
  await fixture.putRaw(feedId, encodeFrame({ ...header, n: 0, keys: [] }, []));
  await fixture.put({ feedId, topic: "t", json: '{"n":2}' });
  const instance = await start();
  expect(await entries(instance, feedId)).toMatchObject([{ n: 2 }, { n: 1 }]);
  await fixture.putRaw(feedId, "garbage");
  await fixture.put({ feedId, topic: "t", json: '{"n":3}' });
  await instance.service.settled();
  expect(await entries(instance, feedId)).toMatchObject([{ n: 3 }, { n: 2 }, { n: 1 }]);
  expect(instance.service.status()["contexts"]).toMatchObject({ damagedFrames: 3 });
});

it("end with their feed, also for who rebuilds later", async () => {
  const feedId = await newFeed();
  const other = await newFeed();
  await fixture.put({ feedId, topic: "t", json: '{"n":1}' });
  await fixture.put({ feedId: other, topic: "t", json: '{"n":1}' });
  const instance = await start();
  // Contexts of a lane are counted when it is rebuilt.
  const feedsOf = async (at: Instance): Promise<number> => {
    await until("all lanes are rebuilt", () => lanesOf(at).join() === Array(16).fill("live").join());
    return feeds(at);
  };
  const feeds = (at: Instance): number => (at.service.status()["contexts"] as { feeds: number }).feeds;
  const before = await feedsOf(instance);
  await fixture.feed(null, feedId);
  await until("the context is dropped", () => feeds(instance) === before - 1);
  await instance.stop();
  expect(await feedsOf(await start())).toBe(before - 1);
});

it("keep to their bounds", async () => {
  const feedId = await newFeed();
  const instance = await start({ MAX_TOPICS_PER_FEED: "5", LLM_CONTEXT_FEED_BYTES: "70000" });
  for (let n = 0; n < 20; n++) await fixture.put({ feedId, topic: `t${n}`, json: JSON.stringify({ n, x: "x".repeat(5_000) }) });
  await instance.service.settled();
  const stats = instance.service.status()["contexts"] as { evictedTopics: number };
  expect(stats.evictedTopics).toBeGreaterThanOrEqual(15);
  expect(await entries(instance, feedId, "t19")).toMatchObject([{ n: 19 }]);
  expect(await entries(instance, feedId, "t3")).toEqual([]);
});

it("go on after the broker was killed", async () => {
  const feedId = await newFeed();
  const instance = await start();
  await fixture.put({ feedId, topic: "t", json: '{"n":1}' });
  await instance.service.settled();
  fixture.broker.kill();
  await until("it is back", async () => {
    try {
      await fixture.nats.core.request(subjects.serviceRequest("intelligence", "status"), "", { timeoutMs: 500 });
      return true;
    } catch {
      return false; // still away
    }
  });
  await until("a message can be stored", async () => {
    try {
      await fixture.put({ feedId, topic: "t", json: '{"n":2}' });
      return true;
    } catch {
      return false; // still away
    }
  });
  await until(
    "the new message is known",
    async () => ((await entries(instance, feedId))[0] as { n?: number } | undefined)?.n === 2,
    25_000,
  );
});

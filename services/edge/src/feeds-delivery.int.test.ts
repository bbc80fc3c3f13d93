/** What reaches which socket: bytes as they are, exact topics, status, deletion, privacy changes, presence, many subscriptions. */
import { PresenceDigest } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const RAW = "65f456abc1230a1b2c3d4e01";
const TOPICS = "65f456abc1230a1b2c3d4e03";

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: SocketClient[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge({ instanceId: "edge-feeds", config: { WS_MESSAGE_BURST: 10_000, EDGE_MAX_SOCKETS_PER_ADDRESS: 1_000 } });
  fixture.addSession("jwt", "acme");
  fixture.addSession("other", "other");
  await fixture.addFeed(RAW, "acme", { isPublic: true });
  await fixture.addFeed(TOPICS, "acme", { isPublic: true, enableTopicRouting: true, topicField: "s" });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
async function open(token?: string, ...messages: unknown[]): Promise<SocketClient> {
  const socket = await openSocket(edge.url);
  sockets.push(socket);
  const hello = token === undefined ? msg("register-user", { userId: "somebody" }) : msg("authenticate", { token });
  await socket.ask(hello, ...messages);
  return socket;
}
const subscribe = (feedId: string) => msg("subscribe-feed", { feedId });
const topic = (name: string | number, include?: string[]) => msg("subscribe-topic", { feedId: TOPICS, topic: name, include });
const data = (socket: SocketClient, type = "feed-data") => socket.of(type).map((frame) => frame.payload["data"]);

describe("raw data", () => {
  it("W31: the payload is the upstream's own text, digits beyond 2^53 included", async () => {
    const socket = await open("jwt", subscribe(RAW));
    const source = '{"price": "42150.50",  "id":12345678901234567890,"u":1e400,"t":"\\u00e9"}';
    await fixture.publishTopics([{ feedId: RAW, data: source, ts: 1_769_802_850_630 }]);
    await socket.received("feed-data", 1);
    expect(socket.texts.at(-1)).toBe(
      `{"type":"feed-data","payload":{"feedId":"${RAW}","feedName":"feed ${RAW}","eventName":"","data":${source},"timestamp":"2026-01-30T19:54:10.630Z"}}`,
    );
  });

  it("subscribing twice is one copy; unsubscribing ends it; order is kept", async () => {
    const socket = await open("jwt", subscribe(RAW), subscribe(RAW), msg("subscribe-all", { feedId: RAW }));
    await fixture.publishTopics(Array.from({ length: 50 }, (_, n) => ({ feedId: RAW, data: String(n) })));
    await fixture.publishTopics(Array.from({ length: 50 }, (_, n) => ({ feedId: RAW, data: String(50 + n) })));
    await socket.received("feed-data", 100);
    expect(data(socket)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    const other = await open("other", subscribe(RAW));
    await socket.ask(msg("unsubscribe-feed", { feedId: RAW }));
    await fixture.publishTopics([{ feedId: RAW, data: '"late"' }]);
    await other.received("feed-data", 1);
    await socket.ask();
    expect(data(socket)).toHaveLength(100);
  });

  it("an answer precedes what it causes", async () => {
    let stop = false;
    const flood = (async () => {
      for (let n = 0; !stop; n++) await fixture.publishTopics([{ feedId: RAW, data: String(n) }]);
    })();
    for (let i = 0; i < 10; i++) {
      const socket = await openSocket(edge.url);
      sockets.push(socket);
      socket.send(msg("register-user", { userId: "x" }));
      socket.send(subscribe(RAW));
      await socket.received("feed-data", 3);
      const types = socket.frames.map((frame) => frame.type);
      expect(types.indexOf("subscription-success")).toBeLessThan(types.indexOf("feed-data"));
    }
    stop = true;
    await flood;
  });

  it("a message of four megabytes arrives whole, and others beside it", async () => {
    const socket = await open("jwt", subscribe(RAW));
    const small = await open("jwt", topic("a", ["data"]));
    const big = JSON.stringify("x".repeat(4 * 1024 * 1024 - 200));
    await fixture.publishTopics([
      { feedId: RAW, data: big },
      { feedId: TOPICS, topic: "a", data: "1" },
    ]);
    await Promise.all([socket.received("feed-data", 1), small.received("topic-data", 1)]);
    expect(data(socket)).toEqual([JSON.parse(big)]);
    expect(socket.of("gap")).toEqual([]);
  });
});

describe("topics", () => {
  it("match exactly, and send data only when asked", async () => {
    const socket = await open(undefined, topic("BTCUSDT", ["data"]), topic("ETHUSDT"), topic(40138, ["data"]), subscribe(TOPICS));
    await fixture.publishTopics([
      { feedId: TOPICS, topic: "BTCUSDT", data: '{"s":"BTCUSDT"}' },
      { feedId: TOPICS, topic: "ETHUSDT", data: '{"s":"ETHUSDT"}' },
      { feedId: TOPICS, topic: "btcusdt", data: '{"s":"btcusdt"}' },
      { feedId: TOPICS, topic: "BTCUSDT ", data: '{"s":"BTCUSDT "}' },
      { feedId: TOPICS, topic: "40138", data: '{"s":40138}' },
    ]);
    await socket.received("topic-data", 2);
    await fixture.publishTopics([{ feedId: TOPICS, topic: "40138", data: '"end"' }]);
    await socket.received("topic-data", 3);
    const seen = socket.of("topic-data").map(({ payload }) => [payload["topic"], payload["data"]]);
    expect(seen).toHaveLength(3);
    expect(seen).toEqual(
      expect.arrayContaining([
        ["BTCUSDT", { s: "BTCUSDT" }],
        ["40138", { s: 40138 }],
        ["40138", "end"],
      ]),
    );
    expect(socket.of("feed-data")).toEqual([]);
  });

  it("data can be asked for later; one topic is left alone, the others stay", async () => {
    const socket = await open(
      "jwt",
      topic("a"),
      topic("a", ["data"]),
      topic("b", ["data"]),
      msg("unsubscribe-topic", { feedId: TOPICS, topic: "b" }),
    );
    await fixture.publishTopics([{ feedId: TOPICS, topic: "b", data: "1" }]);
    await fixture.publishTopics([{ feedId: TOPICS, topic: "a", data: "2" }]);
    await socket.received("topic-data", 1);
    expect(data(socket, "topic-data")).toEqual([2]);
    await socket.ask(msg("unsubscribe-feed", { feedId: TOPICS }));
    const other = await open("jwt", topic("a", ["data"]));
    await fixture.publishTopics([{ feedId: TOPICS, topic: "a", data: "3" }]);
    await other.received("topic-data", 1);
    await socket.ask();
    expect(data(socket, "topic-data")).toEqual([2]);
  });

  it("a number keeps the digits its client wrote", async () => {
    const socket = await open("jwt");
    socket.send(`{"type":"subscribe-topic","payload":{"feedId":"${TOPICS}","topic":12345678901234567890,"include":["data"]}}`);
    await socket.received("subscription-success", 1);
    expect(socket.of("subscription-success")[0]?.payload["topic"]).toBe("12345678901234567890");
    await fixture.publishTopics([{ feedId: TOPICS, topic: "12345678901234567890", data: "1" }]);
    await socket.received("topic-data", 1);
  });
});

describe("state of a feed", () => {
  it("feed-status goes once to every socket with any subscription of the feed", async () => {
    const all = await Promise.all([
      open("jwt", subscribe(TOPICS), topic("a"), topic("b", ["data"])),
      open("jwt", msg("subscribe-llm", { feedId: TOPICS })),
      open(undefined, topic("never-seen")),
    ]);
    const stranger = await open("jwt", subscribe(RAW));
    await fixture.publishTopics([
      { feedId: TOPICS, status: "connecting" },
      { feedId: TOPICS, status: "error", error: "refused" },
      { feedId: RAW, data: "1" },
    ]);
    await stranger.received("feed-data", 1);
    for (const socket of all) {
      await socket.received("feed-status", 2);
      await socket.ask();
      expect(socket.of("feed-status").map(({ payload }) => payload)).toEqual([
        { feedId: TOPICS, status: "connecting" },
        { feedId: TOPICS, status: "error", error: "refused" },
      ]);
    }
    expect(stranger.of("feed-status")).toEqual([]);
  });

  it("a deleted feed says so, a feed made private is lost by others only", async () => {
    const feedId = "65f456abc1230a1b2c3d4e10";
    await fixture.addFeed(feedId, "acme", { isPublic: true });
    const owner = await open("jwt", subscribe(feedId));
    const others = [await open("other", subscribe(feedId)), await open(undefined, subscribe(feedId))];
    const begun = performance.now();
    await fixture.addFeed(feedId, "acme", { isPublic: false });
    for (const socket of others) {
      await socket.received("subscription-error", 1);
      expect(socket.texts.at(-1)).toBe(JSON.stringify({ type: "subscription-error", payload: { error: "feed not found", feedId } }));
    }
    expect(performance.now() - begun).toBeLessThan(1_000);
    await fixture.publishTopics([{ feedId, data: '"secret"' }]);
    await owner.received("feed-data", 1);
    for (const socket of others) {
      await socket.ask(subscribe(feedId));
      expect(socket.of("feed-data")).toEqual([]);
      expect(socket.of("subscription-error")).toHaveLength(2);
    }
    await fixture.removeFeed(feedId);
    await owner.received("feed-deleted", 1);
    expect(owner.texts.at(-1)).toBe(JSON.stringify({ type: "feed-deleted", payload: { feedId } }));
    expect(others.flatMap((socket) => socket.of("feed-deleted"))).toEqual([]);
    expect(await owner.ask(subscribe(feedId))).toEqual([
      JSON.stringify({ type: "subscription-error", payload: { error: "feed not found", feedId } }),
    ]);
  });
});

it("W14, W15: presence names every key somebody listens to, at once, and forgets it at once", async () => {
  const digests: PresenceDigest[] = [];
  const listener = fixture.client.core.subscribe("presence.*", {
    callback: (message) => digests.push(PresenceDigest.parse(JSON.parse(new TextDecoder().decode(message.data)))),
  });
  await fixture.client.flush();
  const keys = () => digests.filter((digest) => digest.edgeId === "edge-feeds").at(-1)?.surfaces["feeds"];
  const first = await open("jwt", topic("a"), topic("a"), subscribe(RAW));
  const second = await open("jwt", topic("a", ["data"]), topic("b"), msg("subscribe-llm", { feedId: RAW }));
  const told = { [TOPICS + ":a"]: 2, [TOPICS + ":b"]: 1, [TOPICS + "!"]: 2, [RAW]: 1, [RAW + "?"]: 1, [RAW + "!"]: 2 };
  await until("both sockets are told", () => keys()?.sockets === 2 && Object.keys(keys()?.keys ?? {}).length === 6);
  expect(keys()).toEqual({ sockets: 2, keys: told });
  await first.ask(msg("unsubscribe-topic", { feedId: TOPICS, topic: "a" }));
  await until("one listener less", () => keys()?.keys[`${TOPICS}:a`] === 1 && keys()?.keys[`${TOPICS}!`] === 1);
  await Promise.all([first.close(), second.close()]);
  await until("nobody is left", () => keys()?.sockets === 0);
  expect(keys()?.keys).toEqual({});
  listener.unsubscribe();
});

it("presence of many keys comes in parts of one round", async () => {
  fixture.addSession("many", "many", { limits: { feedSubscriptionsPerSocket: 5_000 } });
  const socket = await open("many");
  const digests: PresenceDigest[] = [];
  const listener = fixture.client.core.subscribe("presence.*", {
    callback: (message) => digests.push(PresenceDigest.parse(JSON.parse(new TextDecoder().decode(message.data)))),
  });
  for (let n = 0; n < 4_500; n++) socket.send(topic(`t${n}`));
  await socket.received("subscription-success", 4_500);
  const complete = () => {
    const last = digests.findLast((digest) => digest.parts === 3 && digest.part === 2);
    const parts = digests.filter((digest) => digest.round === last?.round);
    return parts.length === 3 ? parts : undefined;
  };
  await until("a whole round", () => {
    const parts = complete();
    return parts !== undefined && parts.reduce((sum, part) => sum + Object.keys(part.surfaces["feeds"]?.keys ?? {}).length, 0) === 4_501;
  });
  listener.unsubscribe();
});

it("1,000 subscriptions over many sockets: everyone gets its own and nothing else", async () => {
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, s) => open("jwt", ...Array.from({ length: 20 }, (_, n) => topic(`m${(s * 7 + n) % 100}`, ["data"])))),
  );
  for (let round = 0; round < 3; round++) {
    await fixture.publishTopics(Array.from({ length: 100 }, (_, n) => ({ feedId: TOPICS, topic: `m${n}`, data: `[${round},${n}]` })));
  }
  await Promise.all(all.map((socket) => socket.received("topic-data", 60)));
  await Promise.all(all.map((socket) => socket.ask()));
  all.forEach((socket, s) => {
    const perTopic = new Map<unknown, unknown[]>();
    for (const { payload } of socket.of("topic-data"))
      perTopic.set(payload["topic"], [...(perTopic.get(payload["topic"]) ?? []), payload["data"]]);
    expect(perTopic.size).toBe(20);
    for (let n = 0; n < 20; n++) {
      const m = (s * 7 + n) % 100;
      expect(perTopic.get(`m${m}`)).toEqual([0, 1, 2].map((round) => [round, m]));
    }
  });
});

it("the log is read only while somebody listens", async () => {
  const topics = () => edge.service.status()["topics"] as { reading: boolean };
  await until("nobody listens", () => !topics().reading);
  const idle = await open("jwt");
  await idle.ask(subscribe("65f456abc1230a1b2c3d4eff"));
  expect(topics().reading).toBe(false);
  await idle.ask(subscribe(RAW));
  expect(topics().reading).toBe(true);
  await idle.ask(msg("unsubscribe-feed", { feedId: RAW }));
  await until("the reader has stopped", () => !topics().reading);
});

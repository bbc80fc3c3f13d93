/** Continuing after a drop: cursors on frames, replay by cursor and by time, gaps, cursors of other feeds. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type EdgeFixture, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const RAW = "65f456abc1230a1b2c3d4e01";
const TOPICS = "65f456abc1230a1b2c3d4e03";
const FOREIGN = "65f456abc1230a1b2c3d4e04";

let fixture: EdgeFixture;
const sockets: SocketClient[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addSession("jwt", "acme");
  await fixture.addFeed(RAW, "acme");
  await fixture.addFeed(TOPICS, "acme", { enableTopicRouting: true, topicField: "s" });
  await fixture.addFeed(FOREIGN, "other");
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
async function open(url: string, ...messages: unknown[]): Promise<SocketClient> {
  const socket = await openSocket(url);
  sockets.push(socket);
  await socket.ask(msg("authenticate", { token: "jwt" }), ...messages);
  return socket;
}
const data = (socket: SocketClient, type = "feed-data") => socket.of(type).map((frame) => frame.payload["data"]);
const raw = (...values: number[]) => values.map((value) => ({ feedId: RAW, data: String(value) }));

it("frames carry cursors only after `resume`, and each continues exactly behind its frame, also on another edge", async () => {
  const edge = await fixture.startEdge();
  const first = await open(edge.url, msg("subscribe-feed", { feedId: RAW }));
  await fixture.publishTopics(raw(0));
  await first.received("feed-data", 1);
  expect(first.of("feed-data")[0]).not.toHaveProperty("cursor");
  expect(await first.ask(msg("resume"))).toEqual(['{"type":"resumed","payload":{}}']);
  await fixture.publishTopics([...raw(1, 2, 3), { feedId: TOPICS, topic: "a", data: "1" }]);
  await fixture.publishTopics(raw(4, 5));
  await first.received("feed-data", 6);
  const frames = first.of("feed-data").slice(1);
  expect(frames.map((frame) => typeof frame.cursor)).toEqual(Array.from({ length: 5 }, () => "string"));
  await fixture.publishTopics(raw(6));
  await edge.stop();
  const next = await fixture.startEdge({ instanceId: "edge-1" });
  for (const [n, frame] of frames.entries()) {
    const byFrame = await open(next.url, msg("subscribe-feed", { feedId: RAW, cursor: frame.cursor }));
    await byFrame.received("feed-data", 5 - n);
    expect(data(byFrame)).toEqual([2, 3, 4, 5, 6].slice(n));
    const byResume = await open(next.url, msg("resume", { cursor: frame.cursor }), msg("subscribe-feed", { feedId: RAW }));
    await byResume.received("feed-data", 5 - n);
    expect(data(byResume)).toEqual([2, 3, 4, 5, 6].slice(n));
    expect(byResume.of("gap")).toEqual([]);
  }
  await fixture.publishTopics(raw(7));
  await Promise.all(sockets.slice(1).map((socket) => socket.when("the live end", () => data(socket).at(-1) === 7)));
  await next.stop();
});

it("a topic continues by its cursor without gap or duplicate while messages keep coming", async () => {
  const edge = await fixture.startEdge();
  const topic = (cursor?: string) => msg("subscribe-topic", { feedId: TOPICS, topic: "x", include: ["data"], cursor });
  let stop = false;
  let written = 0;
  const flood = (async () => {
    while (!stop) {
      await fixture.publishTopics([
        { feedId: TOPICS, topic: "x", data: String(written) },
        { feedId: TOPICS, topic: "y", data: "0" },
      ]);
      written++;
    }
  })();
  const seen: unknown[] = [];
  let cursor: string | undefined;
  for (let i = 0; i < 5; i++) {
    const socket = await open(edge.url, msg("resume"), topic(cursor));
    await socket.received("topic-data", 20);
    // Frames behind the last one counted are read again by the next socket.
    const taken = socket.of("topic-data").slice(0, 20);
    seen.push(...taken.map((frame) => frame.payload["data"]));
    cursor = taken.at(-1)?.cursor;
    await socket.close();
  }
  stop = true;
  await flood;
  const start = Number(seen[0]);
  expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => start + n));
  await edge.stop();
});

it("`since` replays what came from then on, as a number or as ISO text", async () => {
  const edge = await fixture.startEdge();
  const feedId = "65f456abc1230a1b2c3d4e20";
  await fixture.addFeed(feedId, "acme");
  const at = Date.now();
  await fixture.publishTopics([
    { feedId, data: "1", ts: at - 10 },
    { feedId, data: "2", ts: at },
    { feedId, data: "3", ts: at + 1 },
  ]);
  for (const since of [at, new Date(at).toISOString()]) {
    const socket = await open(edge.url, msg("subscribe-feed", { feedId, since }));
    await socket.received("feed-data", 2);
    expect(data(socket)).toEqual([2, 3]);
  }
  await edge.stop();
});

it("what cannot be continued is told as a gap", async () => {
  const edge = await fixture.startEdge();
  const source = await open(edge.url, msg("resume"), msg("subscribe-feed", { feedId: RAW }));
  await fixture.publishTopics(raw(1));
  const [frame] = await source.received("feed-data", 1);
  const cursor = String(frame?.cursor);
  const gap = JSON.stringify({ type: "gap", payload: { feedId: RAW, reason: "retention" } });
  const success = JSON.stringify({ type: "subscription-success", payload: { feedId: RAW, type: "feed-data" } });
  // A damaged one, and one of another feed.
  for (const bad of ["c1_AAAA", cursor.slice(0, -2), "nonsense"]) {
    const socket = await open(edge.url);
    expect(await socket.ask(msg("subscribe-feed", { feedId: RAW, cursor: bad }))).toEqual([success, gap]);
  }
  // A time that is none is treated as a cursor that is none.
  for (const since of ["soon", ""]) {
    const socket = await open(edge.url);
    expect(await socket.ask(msg("subscribe-feed", { feedId: RAW, since }))).toEqual([success, gap]);
  }
  const crossed = await open(edge.url);
  await crossed.ask(msg("subscribe-topic", { feedId: TOPICS, topic: "x", include: ["data"], cursor }));
  expect(crossed.texts.at(-2)).toBe(JSON.stringify({ type: "gap", payload: { feedId: TOPICS, topic: "x", reason: "retention" } }));
  // A cursor is no way to learn about a feed.
  expect(await crossed.ask(msg("subscribe-feed", { feedId: FOREIGN, cursor }))).toEqual([
    JSON.stringify({ type: "subscription-error", payload: { error: "feed not found", feedId: FOREIGN } }),
  ]);
  await edge.stop();
});

it("a subscription that already flows ignores a cursor", async () => {
  const edge = await fixture.startEdge();
  const socket = await open(edge.url, msg("resume"), msg("subscribe-feed", { feedId: RAW }));
  await fixture.publishTopics(raw(1, 2));
  const [frame] = await socket.received("feed-data", 2);
  await socket.ask(msg("subscribe-feed", { feedId: RAW, cursor: frame?.cursor }));
  await fixture.publishTopics(raw(3));
  await socket.received("feed-data", 3);
  expect(data(socket)).toEqual([1, 2, 3]);
  await edge.stop();
});

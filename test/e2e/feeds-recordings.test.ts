/**
 * Recordings of real providers through a real upstream server, the real system and one socket each: every message that has a topic arrives
 * under it, unchanged, once, in order, and nothing else does. Judged by an own evaluation of the recording (support/recordings.ts).
 */
import { parseOptions, type Standalone, startStandalone } from "@headwater/standalone";
import { makeTempDir, startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Account, createAccount, raiseAccountLimits } from "../support/api-client.ts";
import { openSocket, type SocketClient, subscribe } from "../support/socket-client.ts";
import { expectedTopics, loadRecordings } from "./support/recordings.ts";

const MESSAGES = 400;
const BATCH = 50;
/** Leaves some of a socket's own limit of 100 at once. */
const MAX_TOPICS = 60;
/** What every feed is sent last: no topic, so it comes to nobody, and is counted. */
const END = '{"end":true}';

const temp = makeTempDir("headwater-recordings");
let upstream: UpstreamServer;
let system: Standalone;
let account: Account;

beforeAll(async () => {
  upstream = await startUpstream();
  const env = { ...process.env, UPSTREAM_ALLOWED_HOSTS: upstream.host };
  system = await startStandalone(parseOptions(["--port", "0", "--no-demo", "--data-dir", temp.dir], {}, temp.dir), env);
  account = await createAccount(system.url);
  await raiseAccountLimits(system.url, system.adminToken, account, {});
}, 120_000);
afterAll(async () => {
  await system?.stop();
  await upstream?.stop();
  temp.remove();
}, 60_000);

interface Summary {
  routed: number;
  unrouted: Record<string, number>;
}

it.each(loadRecordings(MESSAGES))("$provider by $topicField", async ({ provider, topicField, steps, frames, texts }) => {
  const path = `/${provider}`;
  const feedId = await account.createFeed({ name: provider, url: `${upstream.url}${path}`, enableTopicRouting: true, topicField });
  const expected = expectedTopics(texts, steps);
  const wanted = [...expected.keys()].slice(0, MAX_TOPICS);
  const socket = await openSocket(system.url);
  expect((await socket.ask("authenticate", { token: account.token }, "authenticated", "auth_error")).type).toBe("authenticated");
  for (const topic of wanted) await subscribe(socket, "subscribe-topic", { feedId, topic, include: ["data"] });
  await until("the feed is connected", () => upstream.open(path).length === 1);

  const batches = wanted.reduce((sum, topic) => sum + (expected.get(topic)?.length ?? 0), 0);
  for (let i = 0; i < frames.length; i += BATCH) {
    for (const frame of frames.slice(i, i + BATCH)) upstream.send(frame, path);
    await new Promise((resolve) => setImmediate(resolve));
  }
  upstream.send(END, path);
  await until(`${batches} messages of ${provider}`, () => dataOf(socket).length >= batches, 20_000);
  const total = [...expected.values()].reduce((sum, list) => sum + list.length, 0);
  // The fold has counted the last message, so nothing of this feed is on its way any more.
  let summary: Summary | undefined;
  await until("the end is counted", async () => {
    summary = summaryOf(await account.must("GET", `/api/marketplace/feeds/${feedId}/status`));
    return summary.routed >= total && sum(summary.unrouted) > 0;
  });

  const got = new Map<string, unknown[]>();
  for (const frame of dataOf(socket)) {
    expect(frame.payload["feedId"]).toBe(feedId);
    const topic = String(frame.payload["topic"]);
    got.set(topic, [...(got.get(topic) ?? []), frame.payload["data"]]);
  }
  expect([...got.keys()].toSorted()).toEqual(wanted.toSorted());
  for (const topic of wanted) expect(got.get(topic)).toEqual(expected.get(topic));
  expect(summary?.routed).toBe(total);
  expect(upstream.connections(path).length).toBe(1);
  socket.close();
  await account.must("DELETE", `/api/marketplace/feeds/${feedId}`);
  await until("the upstream is left", () => upstream.open(path).length === 0);
});

it("keeps numbers as the upstream wrote them", async () => {
  const feedId = await account.createFeed({ name: "exact", url: `${upstream.url}/exact`, enableTopicRouting: true, topicField: "id" });
  const socket = await openSocket(system.url);
  await socket.ask("authenticate", { token: account.token }, "authenticated");
  await subscribe(socket, "subscribe-topic", { feedId, topic: "12345678901234567890", include: ["data"] });
  await until("the feed is connected", () => upstream.open("/exact").length === 1);
  upstream.send('{"id":12345678901234567890, "price":1.10,\n"n":1e400}', "/exact");
  const frame = await socket.frame("the message", (f) => f.type === "topic-data");
  expect(frame.text).toContain('"data":{"id":12345678901234567890, "price":1.10, "n":1e400},"timestamp"');
  socket.close();
});

function dataOf(socket: SocketClient) {
  return socket.frames.filter((frame) => frame.type === "topic-data");
}

function summaryOf(body: Record<string, unknown>): Summary {
  // The status route answers with the summary of the feed's lane.
  const data = body["data"] as { routed: number; unrouted: Record<string, number> };
  return { routed: data.routed, unrouted: data.unrouted };
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}

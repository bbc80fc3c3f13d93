/**
 * Recordings of real providers through a real upstream server, the real system and one socket each: every message that has a topic arrives
 * under it, unchanged, once, in order, and nothing else does. Judged by an own evaluation of the recording (support/recordings.ts).
 */
import { startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Account, type FeedsSystem, startFeedsSystem } from "./support/feeds-system.ts";
import { expectedTopics, loadRecordings } from "./support/recordings.ts";
import { openSocket, type Socket } from "./support/socket.ts";

const MESSAGES = 400;
const BATCH = 50;
/** Leaves some of a socket's own limit of 100 at once. */
const MAX_TOPICS = 60;
/** What every feed is sent last: no topic, so it comes to nobody, and is counted. */
const END = '{"end":true}';

let upstream: UpstreamServer;
let feeds: FeedsSystem;
let account: Account;

beforeAll(async () => {
  upstream = await startUpstream();
  feeds = await startFeedsSystem(upstream);
  account = await feeds.register("recordings");
  // The recordings come faster than they were recorded.
  const plan = await fetch(`${feeds.url}/admin/v1/tenants/acct-${account.userId}/plan`, {
    method: "PUT",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${feeds.system.adminToken}` },
    body: JSON.stringify({ plan: "custom" }),
  });
  expect(plan.status).toBe(200);
}, 120_000);
afterAll(async () => {
  await feeds?.stop();
  await upstream?.stop();
}, 60_000);

/** A socket of the account with these topics of a feed. */
async function listen(feedId: string, topics: string[]): Promise<Socket> {
  const socket = await openSocket(feeds.wsUrl);
  expect(await socket.answer({ type: "authenticate", payload: { token: account.token } })).toMatchObject({ type: "authenticated" });
  for (const topic of topics) {
    const answer = await socket.answer({ type: "subscribe-topic", payload: { feedId, topic, include: ["data"] } });
    expect(answer).toMatchObject({ type: "subscription-success", payload: { feedId, topic } });
  }
  return socket;
}

interface Summary {
  routed: number;
  unrouted: Record<string, number>;
}

it.each(loadRecordings(MESSAGES))("$provider by $topicField", async ({ provider, topicField, steps, frames, texts }) => {
  const path = `/${provider}`;
  const feedId = await account.createFeed({ name: provider, url: `${upstream.url}${path}`, enableTopicRouting: true, topicField });
  const expected = expectedTopics(texts, steps);
  const wanted = [...expected.keys()].slice(0, MAX_TOPICS);
  const socket = await listen(feedId, wanted);
  await until("the feed is connected", () => upstream.open(path).length === 1);

  const awaited = wanted.reduce((sum, topic) => sum + (expected.get(topic)?.length ?? 0), 0);
  for (let i = 0; i < frames.length; i += BATCH) {
    for (const frame of frames.slice(i, i + BATCH)) upstream.send(frame, path);
    await new Promise((resolve) => setImmediate(resolve));
  }
  upstream.send(END, path);
  await socket.when(`${awaited} messages of ${provider}`, () => socket.of("topic-data").length >= awaited);
  const total = [...expected.values()].reduce((sum, list) => sum + list.length, 0);
  // The fold has counted the last message, so nothing of this feed is on its way any more.
  let summary: Summary | undefined;
  await until("the end is counted", async () => {
    summary = summaryOf(await account.ok("GET", `/api/marketplace/feeds/${feedId}/status`));
    return summary.routed >= total && sum(summary.unrouted) > 0;
  });

  const got = new Map<string, unknown[]>();
  for (const frame of socket.of("topic-data")) {
    expect(frame.payload["feedId"]).toBe(feedId);
    const topic = String(frame.payload["topic"]);
    got.set(topic, [...(got.get(topic) ?? []), frame.payload["data"]]);
  }
  expect([...got.keys()].toSorted()).toEqual(wanted.toSorted());
  for (const topic of wanted) expect(got.get(topic)).toEqual(expected.get(topic));
  expect(summary?.routed).toBe(total);
  expect(upstream.connections(path).length).toBe(1);
  await socket.close();
  await account.ok("DELETE", `/api/marketplace/feeds/${feedId}`);
  await until("the upstream is left", () => upstream.open(path).length === 0);
});

it("keeps numbers as the upstream wrote them", async () => {
  const feedId = await account.createFeed({ name: "exact", url: `${upstream.url}/exact`, enableTopicRouting: true, topicField: "id" });
  const socket = await listen(feedId, ["12345678901234567890"]);
  await until("the feed is connected", () => upstream.open("/exact").length === 1);
  upstream.send('{"id":12345678901234567890, "price":1.10,\n"n":1e400}', "/exact");
  const frame = await socket.frame("the message", (f) => f.type === "topic-data");
  expect(frame.text).toContain('"data":{"id":12345678901234567890, "price":1.10, "n":1e400},"timestamp"');
  await socket.close();
});

function summaryOf(body: Record<string, unknown>): Summary {
  // The status route answers with the summary of the feed's lane.
  const data = body["data"] as { routed: number; unrouted: Record<string, number> };
  return { routed: data.routed, unrouted: data.unrouted };
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}

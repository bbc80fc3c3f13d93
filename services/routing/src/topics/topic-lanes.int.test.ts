/**
 * Topic lanes against real NATS and PostgreSQL: what readers get, what the owner of a feed is told, and that neither a large message, a full
 * log, a changed feed nor a killed process loses or repeats anything that is in the log.
 */
import { setInterval } from "node:timers/promises";
import { callLane, streamState } from "@headwater/messaging";
import { feedKeys, FeedRecent, FeedSummary, FeedUnrouted, laneOf, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { collectingLogger, until } from "@headwater/testkit";
import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { feedRecord } from "../fixtures/feed-record.ts";
import { LANES, TopicHarness } from "../fixtures/topic-harness.ts";
import type { TopicLanes } from "./index.ts";

/** Two feeds in different lanes. */
const A = "697d10f5824ee2ba77fcad80";
const B = "697d10f5824ee2ba77fcad81";

let harness: TopicHarness;
let running: TopicLanes[] = [];
beforeEach(async () => {
  harness = await TopicHarness.open(inject("databaseUrl"));
});
afterEach(async () => {
  for (const lanes of running) await lanes.stop();
  running = [];
  await harness.close();
});

const start: TopicHarness["start"] = async (...args) => {
  const lanes = await harness.start(...args);
  running.push(lanes);
  return lanes;
};

describe("readers", () => {
  it("get each message under its topic, each message of a plain feed, and states", async () => {
    expect(laneOf(A, LANES)).not.toBe(laneOf(B, LANES));
    await harness.record(A, feedRecord(A));
    await harness.record(B, feedRecord(B, { enableTopicRouting: false }));
    const lanes = await start("r-0");
    const seq = await harness.put(
      { feedId: A, epoch: 3, n: 1, ts: 1_000, kind: "state", state: { status: "connected" } },
      { feedId: A, epoch: 3, n: 2, ts: 2_000, kind: "json", json: '{"s":"XBT/USD","id":12345678901234567890}' },
      { feedId: A, epoch: 3, n: 3, ts: 3_000, kind: "json", json: '{"e":"heartbeat"}' },
      { feedId: A, epoch: 3, n: 4, ts: 4_000, kind: "json", json: '[{"s":"a"},{"s":"b"}]' },
    );
    await harness.put({ feedId: B, epoch: 3, n: 1, ts: 5_000, kind: "text", text: "plain" });
    await lanes.settled();
    const outputs = await harness.outputs();
    expect(outputs.filter((output) => output.lane === laneOf(A, LANES)).map(({ key, ext }) => [key, ext.ts, ext.p])).toEqual([
      [feedKeys.control(A), 1_000, [seq, 0]],
      [feedKeys.topic(A, "XBT/USD"), 2_000, [seq, 1]],
      [feedKeys.topic(A, "a"), 4_000, [seq, 3]],
      [feedKeys.topic(A, "b"), 4_000, [seq, 3]],
    ]);
    expect(outputs.find((output) => output.key === feedKeys.data(B))?.wire).toContain('"data":"plain"');
    expect(outputs.some((output) => output.wire.includes("heartbeat"))).toBe(false);
    expect([...lanes.takeDirtyFeeds()].sort()).toEqual([
      [A, 4_000],
      [B, 5_000],
    ]);
    expect(lanes.takeDirtyFeeds().size).toBe(0);
  });

  it("get a feed's first message though its record was written just before", async () => {
    const lanes = await start("r-0", { adoptConfigEveryMs: 60_000 });
    // A first adoption, so that the next one would have to wait.
    await harness.record(A, feedRecord(A));
    await harness.put(harness.json(A, '{"s":"first"}'));
    await harness.record(B, feedRecord(B));
    await harness.put(harness.json(B, '{"s":"second"}'));
    await harness.record("697d10f5824ee2ba77fcad82", feedRecord("697d10f5824ee2ba77fcad82"));
    await harness.put(harness.json("697d10f5824ee2ba77fcad82", '{"s":"third"}'));
    await lanes.settled();
    expect((await harness.data()).sort()).toEqual(['{"s":"first"}', '{"s":"second"}', '{"s":"third"}']);
  });

  it("see a changed topic field at once, and nothing of a deleted feed", async () => {
    await harness.record(A, feedRecord(A));
    const lanes = await start("r-0", { adoptConfigEveryMs: 0 });
    await harness.put(harness.json(A, '{"s":"x","t":"y"}'));
    await lanes.settled();
    await harness.registry.waitFor(await harness.record(A, feedRecord(A, { topicField: "t" })));
    await harness.put(harness.json(A, '{"s":"x","t":"y"}'));
    await lanes.settled();
    expect((await harness.outputs()).map((output) => output.key)).toEqual([feedKeys.topic(A, "x"), feedKeys.topic(A, "y")]);
    await harness.registry.waitFor(await harness.record(A, null));
    await expect(harness.ask(A, "summary")).rejects.toMatchObject({ code: "not_found" });
    await harness.put(harness.json(A, '{"s":"x","t":"y"}'));
    await lanes.settled();
    expect(await harness.outputs()).toHaveLength(2);
    // With the line, what was known of it went too: a feed of the same id would begin anew.
    await harness.registry.waitFor(await harness.record(A, feedRecord(A)));
    expect(FeedSummary.parse(await harness.ask(A, "summary"))).toMatchObject({ received: 0, topics: [] });
  });

  it("get a message of 4 MiB, and those around it", async () => {
    await harness.record(A, feedRecord(A));
    const lanes = await start("r-0");
    const large = `{"s":"L","pad":"${"x".repeat(MAX_UPSTREAM_MESSAGE_BYTES - 32)}"}`;
    await harness.put(harness.json(A, '{"s":"before"}'));
    await harness.put(harness.json(A, large));
    await harness.put(harness.json(A, large.replaceAll("x", "é").slice(0, 2_500_000) + '"}'));
    await harness.put(harness.json(A, '{"s":"after"}'));
    await lanes.settled();
    expect((await harness.data()).map((data) => data.length)).toEqual([14, large.length, 2_500_002, 13]);
    expect(await harness.deadLetters()).toBe(0);
  });

  it("get what follows a line nobody could have written", async () => {
    await harness.record(A, feedRecord(A));
    const lanes = await start("r-0");
    await harness.put(harness.json(A, '{"s":"a"}'), "not a line", harness.json(A, '{"s":"b"}'));
    await lanes.settled();
    expect(await harness.data()).toEqual(['{"s":"a"}', '{"s":"b"}']);
    expect(await harness.deadLetters()).toBe(1);
  });
});

describe("answers about a feed", () => {
  it("tell counts, topics, unrouted and recent messages", async () => {
    await harness.record(A, feedRecord(A));
    const metrics = new Registry();
    const lanes = await start("r-0", {}, { metrics });
    await harness.put({ ...harness.json(A, ""), kind: "state", state: { status: "connected", dropped: { rate: 2 } } });
    const messages = ['{"s":"a","i":1}', '{"s":"b"}', '{"e":1}', '{"s":"a","i":12345678901234567890}', '[{"s":"c"},{"s":null}]'];
    for (const json of messages) await harness.put(harness.json(A, json), harness.json(A, '{"s":""}'));
    await harness.put({ ...harness.json(A, ""), kind: "text", text: 'say "hi"' });
    await lanes.settled();
    const summary = FeedSummary.parse(await harness.ask(A, "summary"));
    expect(summary).toMatchObject({
      state: { status: "connected", dropped: { rate: 2 } },
      received: 11,
      routed: 4,
      unrouted: { missing: 2, empty: 5, null: 1 },
      evicted: 0,
    });
    expect(summary.topics.map(({ topic, count }) => [topic, count])).toEqual([
      ["c", 1],
      ["a", 2],
      ["b", 1],
    ]);
    const unrouted = FeedUnrouted.parse(await harness.ask(A, "unrouted")).messages;
    expect(unrouted.slice(0, 3).map(({ reason, json, element }) => [reason, json, element])).toEqual([
      ["missing", '"say \\"hi\\""', undefined],
      ["empty", '{"s":""}', undefined],
      ["null", '[{"s":"c"},{"s":null}]', 1],
    ]);
    const recent = FeedRecent.parse(await harness.ask(A, "recent", { limit: 4 })).messages;
    expect(recent.map((message) => message.json)).toEqual(['"say \\"hi\\""', '{"s":""}', '[{"s":"c"},{"s":null}]', '{"s":""}']);
    const all = FeedRecent.parse(await harness.ask(A, "recent", { limit: 1_000 })).messages;
    expect(all.map((message) => message.json).filter((json) => json.includes('"i"'))).toEqual([messages[3], messages[0]]);
    expect(FeedRecent.parse(await harness.ask(A, "recent", { limit: 10, since: Date.now() + 60_000 })).messages).toEqual([]);
    const text = await metrics.metrics();
    expect(text).toContain("headwater_feed_messages_total 11");
    expect(text).toContain("headwater_feed_routed_total 4");
    expect(text).toContain('headwater_feed_unrouted_total{reason="empty"} 5');
  });

  it("refuse a feed nobody knows, and nonsense", async () => {
    await start("r-0");
    await expect(harness.ask(A, "summary")).rejects.toMatchObject({ code: "not_found" });
    await expect(harness.ask(A, "recent", { limit: 5 })).rejects.toMatchObject({ code: "not_found" });
    await harness.record(A, feedRecord(A));
    await until("the record is there", () => harness.registry.get("feed", A) !== undefined);
    await expect(harness.ask(A, "recent", { limit: 0 })).rejects.toThrow();
    expect(FeedSummary.parse(await harness.ask(A, "summary"))).toMatchObject({ state: null, lastMessageAt: null, received: 0 });
  });

  it("leave out what left the log, and stay below what an answer can hold", async () => {
    await harness.record(A, feedRecord(A));
    const lanes = await start("r-0");
    const pad = "x".repeat(900_000);
    for (let i = 0; i < 4; i++) await harness.put(harness.json(A, `{"s":"a","i":${i},"pad":"${pad}"}`));
    await lanes.settled();
    const recent = FeedRecent.parse(await harness.ask(A, "recent", { limit: 10 })).messages;
    expect(recent.map((message) => /"i":(\d)/.exec(message.json)?.[1])).toEqual(["3", "2"]);
    await harness.nats.core.request(`$JS.API.STREAM.PURGE.FEEDS_${laneOf(A, LANES)}`, JSON.stringify({ keep: 1 }));
    expect(FeedRecent.parse(await harness.ask(A, "recent", { limit: 10 })).messages).toHaveLength(1);
  });
});

describe("a log that drops its oldest", () => {
  it("is counted, not complained about, and what is still there goes out once", async () => {
    await harness.close();
    const { log, messages } = collectingLogger("warn");
    harness = await TopicHarness.open(inject("databaseUrl"), { feedsBytes: 1_048_576 });
    await harness.record(A, feedRecord(A));
    const first = await harness.start("r-0", {}, { log });
    await harness.put(harness.json(A, '{"s":"seen"}'));
    await first.settled();
    await first.stop();
    // Three times the budget while nobody folds.
    for (let i = 0; i < 300; i++) await harness.put(harness.json(A, `{"s":"x","i":${i},"pad":"${"x".repeat(10_000)}"}`));
    const kept = await streamState(harness.nats, `FEEDS_${laneOf(A, LANES)}`);
    expect(kept.firstSeq).toBeGreaterThan(150);
    const second = await start("r-0", {}, { log });
    await second.settled();
    const numbers = (await harness.data()).flatMap((data) => /"i":(\d+)/.exec(data)?.[1] ?? []).map(Number);
    expect(numbers).toEqual(Array.from({ length: kept.messages }, (_, i) => 300 - kept.messages + i));
    expect(second.lanes().reduce((sum, lane) => sum + lane.lostInputs, 0)).toBe(kept.firstSeq - 2);
    expect(messages()).toEqual([]);
    // Nothing was purged by us either.
    expect((await streamState(harness.nats, `FEEDS_${laneOf(A, LANES)}`)).firstSeq).toBe(kept.firstSeq);
  });
});

describe("one writer, once", () => {
  it("drops repeats and lines of a replaced connection", async () => {
    await harness.record(A, feedRecord(A));
    const lanes = await start("r-0");
    const line = (epoch: number, n: number) => ({
      feedId: A,
      epoch,
      n,
      ts: 1,
      kind: "json" as const,
      json: `{"s":"a","e":${epoch},"n":${n}}`,
    });
    await harness.put(line(7, 1), line(7, 2));
    await harness.put(line(7, 1), line(7, 2));
    await harness.put(line(9, 1));
    await harness.put(line(7, 3), line(9, 2));
    await lanes.settled();
    expect(await harness.data()).toEqual([
      '{"s":"a","e":7,"n":1}',
      '{"s":"a","e":7,"n":2}',
      '{"s":"a","e":9,"n":1}',
      '{"s":"a","e":9,"n":2}',
    ]);
  });

  it("comes back from a snapshot with the state a fold from zero has", async () => {
    await harness.record(A, feedRecord(A));
    const first = await harness.start("r-0", { snapshotEveryMs: 50 });
    for (let i = 0; i < 100; i++) await harness.put(harness.json(A, `{"s":"t${i % 7}","i":${i}}`), harness.json(A, `{"x":${i}}`));
    await first.settled();
    await first.stop();
    const second = await start("r-0");
    for (let i = 100; i < 150; i++) await harness.put(harness.json(A, `{"s":"t${i % 7}","i":${i}}`));
    await second.settled();
    const verdict = await callLane(harness.nats, "feeds", laneOf(A, LANES), "verify", {}, { deadlineMs: 10_000 });
    expect(verdict).toMatchObject({ isEqual: true, folded: { isComplete: true } });
    expect((await harness.data()).length).toBe(150);
    expect(FeedSummary.parse(await harness.ask(A, "summary"))).toMatchObject({ received: 250, routed: 150, unrouted: { missing: 100 } });
  });

  /** Messages that may wait to be folded: a start that takes long on a busy machine must not make the work behind it longer. */
  const MOST_WAITING = 600;

  /** Two lines to each of the two feeds every few milliseconds until stopped; answers what was stored. */
  function traffic(): { put: string[]; stop(): Promise<void> } {
    const put: string[] = [];
    let isOn = true;
    const loop = (async () => {
      let i = 0;
      for await (const _ of setInterval(5)) {
        if (!isOn) return;
        if (put.length - harness.seen() > MOST_WAITING) continue;
        for (const feedId of [A, B]) {
          const pair = [
            `{"s":"t${i % 5}","f":"${feedId}","i":${i}}`,
            `[{"s":"a","f":"${feedId}","i":${i}},{"s":"b","f":"${feedId}","i":${i}}]`,
          ];
          await harness.put(...pair.map((json) => harness.json(feedId, json)));
          put.push(pair[0] ?? "", ...(JSON.parse(pair[1] ?? "[]") as unknown[]).map((element) => JSON.stringify(element)));
        }
        i++;
      }
    })();
    // A test that failed closes the connection under it; that failure is the one to report.
    loop.catch(() => undefined);
    return {
      put,
      async stop() {
        isOn = false;
        await loop;
      },
    };
  }
  const ofFeed = (lines: string[], feedId: string): string[] => lines.filter((line) => line.includes(feedId));

  it.each(["before_publish", "after_publish_before_ack", "mid_snapshot"])(
    "loses and repeats nothing when the process is killed at %s",
    async (at) => {
      await harness.record(A, feedRecord(A));
      await harness.record(B, feedRecord(B));
      const load = traffic();
      const victim = await harness.spawn("r-0", { crash: { at, after: 6 }, lanes: { snapshotEveryMs: 200 } });
      // The fault fired: the process killed itself.
      expect(await victim.exited).toBe("SIGKILL");
      const before = (await harness.data()).length;
      await harness.spawn("r-0", { lanes: { snapshotEveryMs: 200 } });
      await until("the next process puts out", async () => (await harness.data()).length > before + 50, 15_000);
      await load.stop();
      await until("everything is out", async () => (await harness.data()).length >= load.put.length, 15_000);
      const data = await harness.data();
      for (const feedId of [A, B]) expect(ofFeed(data, feedId)).toEqual(ofFeed(load.put, feedId));
    },
    60_000,
  );

  it("loses and repeats nothing when a paused owner wakes up after another took over", async () => {
    await harness.record(A, feedRecord(A));
    await harness.record(B, feedRecord(B));
    const load = traffic();
    const zombie = await harness.spawn("r-0");
    await until("it puts out", async () => (await harness.data()).length > 20, 15_000);
    zombie.child.kill("SIGSTOP");
    await harness.spawn("r-1");
    const oldest = Math.max(...(await harness.outputs()).map((output) => output.epoch));
    await until(
      "both lanes moved",
      async () => new Set((await harness.outputs()).flatMap((o) => (o.epoch > oldest ? o.lane : []))).size === 2,
      20_000,
    );
    zombie.child.kill("SIGCONT");
    const count = (await harness.data()).length;
    await until("it goes on", async () => (await harness.data()).length > count + 100, 15_000);
    await load.stop();
    await until("everything is out", async () => (await harness.data()).length >= load.put.length, 15_000);
    const data = await harness.data();
    for (const feedId of [A, B]) expect(ofFeed(data, feedId)).toEqual(ofFeed(load.put, feedId));
  }, 60_000);
});

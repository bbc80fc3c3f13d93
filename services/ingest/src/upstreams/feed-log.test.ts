/** Numbers, drops and fairness of the feed log, over a commit that the test holds in its hand. */
import { AppendError, type GroupCommit } from "@headwater/messaging";
import { decodeFeedLine, laneOf, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { FeedLedger, FeedLog } from "./feed-log.ts";

interface Held {
  lane: number;
  line: string;
  ack(): void;
  fail(code: "full" | "backpressure" | "unavailable"): void;
}

function setup(maxPendingBytesPerFeed = 10_000): {
  log: FeedLog;
  held: Held[];
  say(answer: "ok" | "full" | "down"): void;
  drops: string[];
} {
  const held: Held[] = [];
  const drops: string[] = [];
  let answer: "ok" | "full" | "down" = "ok";
  const commit: GroupCommit = {
    append: (lane, line) =>
      new Promise((resolve, reject) => {
        held.push({ lane, line, ack: () => resolve({ seq: 1 }), fail: (code) => reject(new AppendError(code, code)) });
      }),
    appendMany: () => Promise.reject(new Error("not used")),
    admit: () => answer,
    pendingBytes: () => 0,
    stats: () => ({ batches: 0, events: 0, bytes: 0, retries: 0, duplicates: 0, failures: 0, pendingBytes: 0 }),
    close: () => Promise.resolve(),
  };
  const log = new FeedLog({ commit, maxPendingBytesPerFeed, onDropped: (reason, count) => drops.push(`${reason} ${count}`) });
  return { log, held, say: (next) => void (answer = next), drops };
}

const json = (text: string) => ({ kind: "json", text }) as const;

describe("FeedLog", () => {
  it("numbers lines of a feed from 1, messages and states together, in the feed's lane", () => {
    const { log, held } = setup();
    const ledger = new FeedLedger("feed1", 7);
    void log.state(ledger, { status: "connecting" }, 1);
    log.message(ledger, json("1"), 2);
    log.message(ledger, { kind: "text", text: "a\nb" }, 3);
    expect(held.map(({ line }) => decodeFeedLine(line))).toEqual([
      { feedId: "feed1", epoch: 7, n: 1, ts: 1, kind: "state", state: { status: "connecting" } },
      { feedId: "feed1", epoch: 7, n: 2, ts: 2, kind: "json", json: "1" },
      { feedId: "feed1", epoch: 7, n: 3, ts: 3, kind: "text", text: "a\nb" },
    ]);
    expect(new Set(held.map(({ lane }) => lane))).toEqual(new Set([laneOf("feed1")]));
  });

  it("drops the newest when the queue is full or the log away; a dropped message takes no number", async () => {
    const { log, held, say, drops } = setup();
    const ledger = new FeedLedger("feed1", 7);
    say("full");
    log.message(ledger, json("1"), 1);
    say("down");
    log.message(ledger, json("2"), 1);
    expect(await log.state(ledger, { status: "connected" }, 1)).toBe(false);
    say("ok");
    log.message(ledger, json("3"), 1);
    const told = log.state(ledger, { status: "connected" }, 1);
    expect(held.map(({ line }) => decodeFeedLine(line).n)).toEqual([1, 2]);
    expect(decodeFeedLine(held[1]?.line ?? "")).toMatchObject({ state: { status: "connected", dropped: { log_full: 1, log_away: 1 } } });
    expect(drops).toEqual(["log_full 1", "log_away 1"]);
    held[1]?.ack();
    expect(await told).toBe(true);
  });

  it("does not let one feed take the lane's queue, and makes room when lines are stored or lost", async () => {
    const { log, held, drops } = setup(500);
    const greedy = new FeedLedger("feed1", 7);
    for (let i = 0; i < 10; i++) log.message(greedy, json(`"${"x".repeat(100)}"`), 1);
    log.message(new FeedLedger("feed2", 7), json("1"), 1);
    expect(drops).toEqual(Array.from({ length: 7 }, () => "log_full 1"));
    expect(decodeFeedLine(held.at(-1)?.line ?? "").feedId).toBe("feed2");
    held[0]?.ack();
    held[1]?.fail("unavailable");
    held[2]?.fail("backpressure");
    await new Promise((resolve) => setImmediate(resolve));
    expect(greedy.pendingBytes).toBe(0);
    expect(greedy.dropped).toEqual({ log_full: 8, log_away: 1 });
    expect(greedy.hasNews).toBe(true);
  });

  it("refuses what would not fit a message of the log", async () => {
    const { log, held, drops } = setup(64 * 1024 * 1024);
    const ledger = new FeedLedger("feed1", 7);
    log.message(ledger, { kind: "text", text: "\u0001".repeat(MAX_UPSTREAM_MESSAGE_BYTES / 2) }, 1);
    expect(drops).toEqual(["size 1"]);
    log.message(ledger, { kind: "text", text: "x".repeat(MAX_UPSTREAM_MESSAGE_BYTES) }, 1);
    expect(held).toHaveLength(1);
    await expect(log.push(ledger, `"${"x".repeat(5 * 1024 * 1024)}"`, 1, undefined)).rejects.toBeInstanceOf(RangeError);
  });

  it("pushes with the name of the event, and fails when the log does", async () => {
    const { log, held } = setup();
    const ledger = new FeedLedger("feed1", 7);
    const pushed = log.push(ledger, "1", 5, "tick");
    expect(decodeFeedLine(held[0]?.line ?? "")).toMatchObject({ n: 1, json: "1", eventName: "tick", ts: 5 });
    held[0]?.fail("unavailable");
    await expect(pushed).rejects.toBeInstanceOf(AppendError);
  });
});

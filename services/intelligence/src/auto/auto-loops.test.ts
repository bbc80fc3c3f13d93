import { type FeedRecord, feedKeys, LANE_COUNT, laneOf } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import type { Run } from "../domain/schedule.ts";
import { feedRecord } from "../testing/feed-record.ts";
import { AutoLoops, type LoopSettings } from "./auto-loops.ts";
import type { Ended } from "./run-analysis.ts";

const T0 = 1_700_000_000_000;
const FEED = "65f789abc1230a1b2c3d4e5f";
const ANSWERED: Ended = { end: "answered", outcome: "answered" };

interface Begun {
  at: number;
  run: Run;
  signal: AbortSignal;
  end(ended: Ended): void;
}

/** Everything around the loops, with time that passes when the test says so. */
class World {
  time = T0;
  readonly begun: Begun[] = [];
  readonly told: string[] = [];
  readonly gone: string[] = [];
  /** Ends every run at once with this; undefined: the test ends them. */
  atOnce: Ended | undefined = ANSWERED;
  isOwner = true;
  presenceReady: Promise<void> = Promise.resolve();
  readonly loops: AutoLoops;
  readonly #feeds = new Map<string, FeedRecord>();
  readonly #arrivals = new Map<string, { ts: number; seq: number }>();
  readonly #counts = new Map<string, number>();
  readonly #timers = new Set<{ at: number; call: () => void }>();
  readonly #listeners = {
    presence: new Set<(surface: string, key: string, count: number) => void>(),
    feeds: new Set<(feedId: string, feed: FeedRecord | undefined) => void>(),
    arrivals: new Set<(feedId: string, topic: string | undefined, ts: number, seq: number) => void>(),
    lanes: new Set<(lane: number, isOwned: boolean) => void>(),
  };
  #seq = 0;

  constructor(settings: Partial<LoopSettings> = {}) {
    const on =
      <L>(set: Set<L>) =>
      (listener: L) => {
        set.add(listener);
        return () => void set.delete(listener);
      };
    this.loops = new AutoLoops({
      feeds: { get: (id) => this.#feeds.get(id), all: () => this.#feeds.values(), onChange: on(this.#listeners.feeds) },
      contexts: {
        lastArrival: (feedId, topic) => this.#arrivals.get(`${feedId}:${topic ?? ""}`),
        onArrival: on(this.#listeners.arrivals),
        topics: (feedId) => [...this.#arrivals.keys()].filter((key) => key.startsWith(feedId)).map((key) => key.slice(feedId.length + 1)),
      },
      ownership: { owns: () => this.isOwner, onChange: on(this.#listeners.lanes) },
      presence: {
        count: (_surface, key) => this.#counts.get(key) ?? 0,
        keys: () => this.#counts,
        onChange: on(this.#listeners.presence),
        ready: new Promise((resolve) => queueMicrotask(() => void this.presenceReady.then(resolve))),
      },
      run: (run, signal) => {
        const { promise, resolve } = Promise.withResolvers<Ended>();
        this.begun.push({ at: this.time - T0, run, signal, end: resolve });
        if (this.atOnce) resolve(this.atOnce);
        return promise;
      },
      tell: async (ref, error) => void this.told.push(`${ref.topic ?? "-"}: ${error}`),
      onEnded: () => undefined,
      onGone: (ref) => void this.gone.push(ref.topic ?? "-"),
      now: () => this.time,
      after: (ms, call) => {
        const timer = { at: this.time + ms, call };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
      laneCount: LANE_COUNT,
      settings: { mode: "subscribed", maxTopicsPerFeed: 2, intervalMs: 10_000, ...settings },
    });
  }

  async started(): Promise<this> {
    this.loops.start();
    await Promise.resolve();
    await Promise.resolve();
    return this;
  }

  feed(change: Partial<FeedRecord> | undefined, id = FEED): void {
    if (change === undefined) this.#feeds.delete(id);
    else this.#feeds.set(id, feedRecord(id, change));
    for (const listener of this.#listeners.feeds) listener(id, this.#feeds.get(id));
  }

  listen(key: string, count = 1): void {
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
    for (const listener of this.#listeners.presence) listener("feeds", key, count);
  }

  message(topic?: string, feedId = FEED): void {
    const seq = ++this.#seq;
    this.#arrivals.set(`${feedId}:${topic ?? ""}`, { ts: this.time, seq });
    for (const listener of this.#listeners.arrivals) listener(feedId, topic, this.time, seq);
  }

  own(isOwned: boolean): void {
    this.isOwner = isOwned;
    for (const listener of this.#listeners.lanes) listener(laneOf(FEED), isOwned);
  }

  /** @param topic gets a message each second. */
  async pass(ms: number, topic?: string): Promise<void> {
    const end = this.time + ms;
    let nextMessage = topic === undefined ? Number.POSITIVE_INFINITY : this.time + 1_000;
    for (;;) {
      const timer = [...this.#timers].sort((a, b) => a.at - b.at)[0];
      const next = Math.min(timer?.at ?? Number.POSITIVE_INFINITY, nextMessage);
      if (next > end) break;
      this.time = Math.max(this.time, next);
      if (next === nextMessage) {
        nextMessage += 1_000;
        this.message(topic);
      } else if (timer) {
        this.#timers.delete(timer);
        timer.call();
      }
      // What a run's end leads to.
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
    this.time = end;
  }

  times(): number[] {
    return this.begun.map(({ at }) => at);
  }
}

const BTC = feedKeys.topic(FEED, "BTC");

describe("a topic somebody listens to", () => {
  it.each([5, 10, 30, 60] as const)("is analysed every %i s, first within two seconds", async (queryInterval) => {
    const world = await new World().started();
    world.feed({ queryInterval });
    world.message("BTC");
    world.listen(BTC);
    await world.pass(1_500 + 2_000 * queryInterval, "BTC");
    expect(world.times()).toEqual([1_500, 1_500 + queryInterval * 1_000, 1_500 + queryInterval * 2_000]);
  });

  it("of a feed without an interval follows the global one", async () => {
    const world = await new World({ intervalMs: 30_000 }).started();
    world.feed({});
    world.message("BTC");
    world.listen(BTC);
    await world.pass(32_000, "BTC");
    expect(world.times()).toEqual([1_500, 31_500]);
  });

  it("follows a changed interval within one tick, shorter and longer", async () => {
    const world = await new World().started();
    world.feed({ queryInterval: 60 });
    world.message("BTC");
    world.listen(BTC);
    await world.pass(20_000, "BTC");
    world.feed({ queryInterval: 5 });
    await world.pass(6_000, "BTC");
    expect(world.times()).toEqual([1_500, 20_000, 25_000]);
    world.feed({ queryInterval: 30 });
    await world.pass(60_000, "BTC");
    expect(world.times().slice(3)).toEqual([55_000, 85_000]);
  });

  it("without data waits for the first message (the start-up race of others: W14)", async () => {
    const world = await new World().started();
    world.listen(BTC);
    await world.pass(5_000);
    world.feed({});
    await world.pass(5_000);
    expect(world.begun).toEqual([]);
    world.message("BTC");
    expect(world.times()).toEqual([10_000]);
  });

  it("is left alone when nobody listens any more, and its call is cancelled (W15)", async () => {
    const world = await new World().started();
    world.atOnce = undefined;
    world.feed({});
    world.message("BTC");
    world.listen(BTC, 2);
    await world.pass(1_500);
    world.listen(BTC, 1);
    expect(world.begun[0]?.signal.aborted).toBe(false);
    world.listen(BTC, 0);
    expect(world.begun[0]?.signal.aborted).toBe(true);
    expect(world.gone).toEqual(["BTC"]);
    expect(world.loops.stats()).toMatchObject({ loops: 0, running: 0 });
    await world.pass(60_000, "BTC");
    expect(world.begun).toHaveLength(1);
  });

  it("is not analysed twice for the same data (W16)", async () => {
    const world = await new World().started();
    world.feed({ queryInterval: 5 });
    world.message("BTC");
    world.listen(BTC);
    await world.pass(60_000);
    expect(world.begun).toHaveLength(1);
    expect(world.loops.stats().skipped.unchanged).toBe(11);
  });

  it("never has two runs at once; ticks meanwhile are dropped, not made up for", async () => {
    const world = await new World().started();
    world.atOnce = undefined;
    world.feed({ queryInterval: 5 });
    world.message("BTC");
    world.listen(BTC);
    await world.pass(18_000, "BTC");
    expect(world.begun).toHaveLength(1);
    world.begun[0]?.end(ANSWERED);
    await world.pass(5_000, "BTC");
    expect(world.times()).toEqual([1_500, 21_500]);
    expect(world.loops.stats().skipped.running).toBe(3);
  });

  it("whose provider fails three times in a row is told so once, and asked less often", async () => {
    const world = await new World().started();
    world.atOnce = { end: "failed", outcome: "failed", error: "openai timed out" };
    world.feed({ queryInterval: 5 });
    world.message("BTC");
    world.listen(BTC);
    await world.pass(52_000, "BTC");
    expect(world.times()).toEqual([1_500, 6_500, 11_500, 21_500, 41_500]);
    expect(world.told).toEqual(["BTC: openai timed out"]);
    world.atOnce = ANSWERED;
    await world.pass(45_000, "BTC");
    expect(world.times().slice(5)).toEqual([81_500, 86_500, 91_500, 96_500]);
  });
});

describe("which topics", () => {
  it("ends with the feed, with its topic routing and when it is switched off", async () => {
    for (const change of [undefined, { enableTopicRouting: false }, { isActive: false }]) {
      const world = await new World().started();
      world.feed({});
      world.message("BTC");
      world.listen(BTC);
      world.feed(change);
      await world.pass(60_000, "BTC");
      expect(world.begun).toEqual([]);
    }
  });

  it("only those of lanes of ours; a lane that comes with listeners spreads them over the interval", async () => {
    const world = new World();
    world.isOwner = false;
    await world.started();
    world.feed({ queryInterval: 30 });
    const topics = Array.from({ length: 40 }, (_, i) => `T${i}`);
    for (const topic of topics) world.message(topic);
    for (const topic of topics) world.listen(feedKeys.topic(FEED, topic));
    await world.pass(60_000);
    expect(world.begun).toEqual([]);
    world.own(true);
    await world.pass(30_000);
    expect(new Set(world.begun.map(({ run }) => run.topic)).size).toBe(40);
    expect(new Set(world.times().map((at) => Math.floor(at / 5_000))).size).toBe(6);
    world.own(false);
    for (const topic of topics) world.message(topic);
    await world.pass(60_000);
    expect(world.begun).toHaveLength(40);
    expect(world.loops.stats().loops).toBe(0);
  });

  it("a plain feed with auto analysis, while somebody listens to its intelligence; toggled at once", async () => {
    const world = await new World().started();
    world.feed({ enableTopicRouting: false });
    world.message();
    world.listen(feedKeys.llm(FEED));
    await world.pass(10_000);
    expect(world.begun).toEqual([]);
    world.feed({ enableTopicRouting: false, autoAnalysis: true });
    await world.pass(1_500);
    expect(world.begun.map(({ run }) => [run.feedId, run.topic])).toEqual([[FEED, undefined]]);
    world.feed({ enableTopicRouting: false, autoAnalysis: false });
    world.message();
    await world.pass(30_000);
    expect(world.begun).toHaveLength(1);
  });

  it("always: live ones without listeners too, up to the limit, and all that are listened to", async () => {
    const world = new World({ mode: "always", maxTopicsPerFeed: 2 });
    world.feed({});
    await world.started();
    world.own(true);
    for (const topic of ["A", "B", "C", "D"]) world.message(topic);
    world.listen(feedKeys.topic(FEED, "D"));
    await world.pass(10_000);
    expect(world.begun.map(({ run }) => run.topic).sort()).toEqual(["A", "B", "D"]);
    // A and B fall silent: C takes a place.
    await world.pass(601_000);
    world.message("C");
    await world.pass(2_000);
    expect(world.begun.at(-1)?.run.topic).toBe("C");
  });

  it("subscribed: a topic nobody listens to is never analysed", async () => {
    const world = await new World().started();
    world.feed({});
    await world.pass(60_000, "BTC");
    expect(world.begun).toEqual([]);
  });
});

it("listeners heard of while edges tell for the first time are served at once if they are few, else over the interval", async () => {
  const world = new World();
  const ready = Promise.withResolvers<void>();
  world.presenceReady = ready.promise;
  await world.started();
  world.feed({});
  const topics = Array.from({ length: 80 }, (_, i) => `T${i}`);
  for (const topic of topics) world.message(topic);
  for (const topic of topics) world.listen(feedKeys.topic(FEED, topic));
  await world.pass(10_000);
  expect(world.begun).toHaveLength(80);
  expect(world.times().filter((at) => at === 1_500)).toHaveLength(50);
  expect(new Set(world.times()).size).toBeGreaterThan(20);
  ready.resolve();
  for (let i = 0; i < 6; i++) await Promise.resolve();
  world.message("new");
  world.listen(feedKeys.topic(FEED, "new"));
  await world.pass(1_500);
  expect(world.begun.at(-1)).toMatchObject({ at: 11_500, run: { topic: "new" } });
});

it("stops: calls are cancelled and waited for", async () => {
  const world = await new World().started();
  world.atOnce = undefined;
  world.feed({});
  world.message("BTC");
  world.listen(BTC);
  await world.pass(1_500);
  const stopped = world.loops.stop();
  expect(world.begun[0]?.signal.aborted).toBe(true);
  world.begun[0]?.end({ end: "cancelled", outcome: "not_needed" });
  await stopped;
  world.message("BTC");
  await world.pass(60_000);
  expect(world.begun).toHaveLength(1);
});

/**
 * When which topic is analysed automatically. One loop per topic somebody listens to: a first run soon after the first listener, then one tick
 * per interval. Every topic has a place of its own in the interval, the same for every instance: there begins what was taken over, and there
 * many loops move to, so that topics whose listeners came together do not stay together. A tick with nothing new, with its topic still running, or not yet started when the next one comes is skipped and counted; the
 * window is taken when a run starts, so the newest one wins. Feeds take turns for the slots. Time comes in; who runs it owns the timer and the
 * calls. Pure. Tests: schedule.test.ts.
 */
import { DueHeap } from "./due-heap.ts";

export interface ScheduleOptions {
  /** Runs at once. */
  slots: number;
  /** From the first listener to the first run, ms. */
  firstDelayMs: number;
  /** Failures in a row after which a topic is asked less often. */
  patience: number;
  maxBackoffMs: number;
  /** More loops than these move to their own places; fewer keep the interval to the millisecond from their first run on. */
  crowd: number;
}

export const SCHEDULE_OPTIONS: Omit<ScheduleOptions, "slots"> = { firstDelayMs: 1_500, patience: 3, maxBackoffMs: 600_000, crowd: 50 };

export interface TopicRef {
  feedId: string;
  /** Absent: the feed as a whole (a plain feed with auto analysis). */
  topic?: string | undefined;
}

export interface Run extends TopicRef {
  /** When it should have started, ms. */
  dueAt: number;
  /** Same for every instance that might run it: `<interval s>:<number of the topic's interval since the epoch>`; part of the key of its reservation. */
  tick: string;
}

/** `late`: no slot, or no time, before the next tick came. */
export type SkipReason = "no_data" | "unchanged" | "running" | "late";
export type RunOutcome = "answered" | "failed" | "not_needed";

interface Loop extends TopicRef {
  key: string;
  /** Hash of the key: modulo the interval its place there. */
  place: number;
  /** Whole ms, so that no tick falls beside its number by a rounding error. */
  dueAt: number;
  slot: number;
  state: "idle" | "waiting" | "running";
  /** The run that waits or goes on. */
  run: Run | undefined;
  /** Input position of the newest message, and of the newest one that was analysed or is being. */
  newest: number;
  analysed: number;
  /** Due time of the newest tick; undefined before the first one. */
  lastTick: number | undefined;
  /** The first run has its time behind it and found no data: the first message starts it. */
  isHungry: boolean;
  failures: number;
}

interface FeedQueue {
  intervalMs: number;
  loops: Set<Loop>;
  waiting: Loop[];
}

export interface Finished {
  /** The topic has just been asked so often in vain that its listeners should be told. */
  tellFailure: boolean;
}

const NOTHING = -1;

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #loops = new Map<string, Loop>();
  readonly #feeds = new Map<string, FeedQueue>();
  /** Feeds with waiting loops, the next one to be served first. */
  readonly #turns = new Set<string>();
  readonly #due = new DueHeap<Loop>();
  readonly #skipped: Record<SkipReason, number> = { no_data: 0, unchanged: 0, running: 0, late: 0 };
  #running = 0;

  constructor(options: ScheduleOptions) {
    this.#options = options;
  }

  /** New interval of a feed's loops; takes effect at once. */
  changeInterval(feedId: string, intervalMs: number, now: number): void {
    const feed = this.#feeds.get(feedId);
    if (feed === undefined || feed.intervalMs === intervalMs) return;
    feed.intervalMs = intervalMs;
    for (const loop of feed.loops) {
      if (loop.lastTick === undefined || loop.failures >= this.#options.patience) continue;
      const dueAt = loop.lastTick + intervalMs;
      if (dueAt > now) loop.dueAt = dueAt;
      else loop.dueAt = this.#isCrowded() ? nextPlace(loop.place, intervalMs, now) : Math.floor(now);
      this.#due.put(loop);
    }
  }

  /**
   * Somebody listens to a topic now. `isNew` false: they did before this instance was responsible; then the loop begins at its own place in the
   * interval, and many of them not all at once. `newest`: position of its newest message, -1 without one.
   */
  listen(ref: TopicRef, options: { intervalMs: number; newest: number; isNew: boolean }, now: number): void {
    const key = keyOf(ref);
    if (this.#loops.has(key)) return;
    const feed = this.#feed(ref.feedId, options.intervalMs);
    const place = hash(key);
    const loop: Loop = {
      feedId: ref.feedId,
      topic: ref.topic,
      key,
      place,
      dueAt: options.isNew ? Math.floor(now) + this.#options.firstDelayMs : nextPlace(place, feed.intervalMs, now),
      slot: NOTHING,
      state: "idle",
      run: undefined,
      newest: options.newest,
      analysed: NOTHING,
      lastTick: undefined,
      isHungry: false,
      failures: 0,
    };
    this.#loops.set(key, loop);
    feed.loops.add(loop);
    this.#due.put(loop);
  }

  /** Nobody listens any more: the loop is gone. True when a run is going on that its caller should cancel. */
  unlisten(ref: TopicRef): boolean {
    const loop = this.#loops.get(keyOf(ref));
    if (loop === undefined) return false;
    const isRunning = loop.state === "running";
    if (isRunning) this.#running -= 1;
    this.#loops.delete(loop.key);
    this.#due.drop(loop);
    const feed = this.#feeds.get(loop.feedId);
    if (feed !== undefined) {
      feed.loops.delete(loop);
      if (loop.state === "waiting") feed.waiting = feed.waiting.filter((other) => other !== loop);
      if (feed.loops.size === 0) this.#feeds.delete(loop.feedId);
    }
    return isRunning;
  }

  /** A message of the topic at this input position. */
  arrived(ref: TopicRef, position: number, now: number): void {
    const loop = this.#loops.get(keyOf(ref));
    if (loop === undefined) return;
    loop.newest = Math.max(loop.newest, position);
    if (!loop.isHungry) return;
    loop.isHungry = false;
    loop.dueAt = Math.floor(now);
    this.#due.put(loop);
  }

  /** Runs to start now, as many as there are slots, feeds in turn. Each must be told `finished`. */
  take(now: number): Run[] {
    for (let loop = this.#due.peek(); loop !== undefined && loop.dueAt <= now; loop = this.#due.peek()) this.#tick(loop, now);
    const runs: Run[] = [];
    while (this.#running < this.#options.slots) {
      const [feedId] = this.#turns;
      if (feedId === undefined) break;
      this.#turns.delete(feedId);
      const feed = this.#feeds.get(feedId);
      const loop = feed?.waiting.shift();
      if (feed === undefined || loop?.run === undefined) continue;
      if (feed.waiting.length > 0) this.#turns.add(feedId);
      loop.state = "running";
      loop.analysed = loop.newest;
      this.#running += 1;
      runs.push(loop.run);
    }
    return runs;
  }

  /** How a run ended. `not_needed`: somebody else did that tick already, or its budget is used up. Unknown runs (nobody listens) are ignored. */
  finished(run: Run, outcome: RunOutcome, now: number): Finished {
    const loop = this.#loops.get(keyOf(run));
    if (loop === undefined || loop.run !== run || loop.state !== "running") return { tellFailure: false };
    this.#running -= 1;
    loop.state = "idle";
    loop.run = undefined;
    if (outcome === "answered") {
      loop.failures = 0;
      return { tellFailure: false };
    }
    // What was not analysed is still new: also when somebody else had this tick, because newer messages may have come since they looked.
    loop.analysed = NOTHING;
    if (outcome === "not_needed") return { tellFailure: false };
    loop.failures += 1;
    const over = loop.failures - this.#options.patience;
    if (over < 0) return { tellFailure: false };
    const intervalMs = this.#feed(loop.feedId, 0).intervalMs;
    // Never less than the interval itself; the exponent is capped before it overflows.
    const pause = Math.max(intervalMs, Math.min(this.#options.maxBackoffMs, intervalMs * 2 ** Math.min(over + 1, 20)));
    loop.dueAt = Math.floor(now) + pause;
    this.#due.put(loop);
    return { tellFailure: over === 0 };
  }

  /** When `take` has something to do again, ms; undefined: not before something else happens. */
  nextAt(): number | undefined {
    return this.#due.peek()?.dueAt;
  }

  stats(): { loops: number; running: number; waiting: number; skipped: Readonly<Record<SkipReason, number>> } {
    let waiting = 0;
    for (const feed of this.#feeds.values()) waiting += feed.waiting.length;
    return { loops: this.#loops.size, running: this.#running, waiting, skipped: { ...this.#skipped } };
  }

  #tick(loop: Loop, now: number): void {
    const { intervalMs, waiting } = this.#feed(loop.feedId, 0);
    // Ticks that passed meanwhile are dropped, not made up for.
    const missed = Math.floor((now - loop.dueAt) / intervalMs);
    const dueAt = loop.dueAt + missed * intervalMs;
    loop.lastTick = dueAt;
    loop.dueAt = dueAt + intervalMs - (this.#isCrowded() ? stepToPlace(loop.place, intervalMs, dueAt) : 0);
    this.#due.put(loop);
    this.#skip("late", missed);
    const run: Run = { feedId: loop.feedId, topic: loop.topic, dueAt, tick: tickOf(loop.place, intervalMs, dueAt) };
    if (loop.state === "running") return this.#skip("running", 1);
    if (loop.state === "waiting") {
      this.#skip("late", 1);
      loop.run = run;
      return;
    }
    if (loop.newest === NOTHING) {
      loop.isHungry = true;
      return this.#skip("no_data", 1);
    }
    if (loop.newest === loop.analysed) return this.#skip("unchanged", 1);
    loop.state = "waiting";
    loop.run = run;
    waiting.push(loop);
    this.#turns.add(loop.feedId);
  }

  #isCrowded(): boolean {
    return this.#loops.size > this.#options.crowd;
  }

  #skip(reason: SkipReason, count: number): void {
    this.#skipped[reason] += count;
  }

  #feed(feedId: string, intervalMs: number): FeedQueue {
    const known = this.#feeds.get(feedId);
    if (known !== undefined) return known;
    const feed: FeedQueue = { intervalMs, loops: new Set(), waiting: [] };
    this.#feeds.set(feedId, feed);
    return feed;
  }
}

/**
 * The number of the topic's own interval a tick falls into: two instances that ran the same one would meet in it. It begins at the topic's place,
 * so a loop that moves there earlier and earlier has each number once.
 */
export function tickOf(place: number, intervalMs: number, dueAt: number): string {
  return `${intervalMs / 1_000}:${intervalNumber(place, intervalMs, dueAt)}`;
}

function intervalNumber(place: number, intervalMs: number, at: number): number {
  return Math.floor((at - (place % intervalMs)) / intervalMs);
}

/** First time after `now` at the topic's place. */
function nextPlace(place: number, intervalMs: number, now: number): number {
  return (place % intervalMs) + (intervalNumber(place, intervalMs, now) + 1) * intervalMs;
}

/** How much sooner the next tick comes: half of the way to the topic's place, so that no interval is shorter than half; the last bit at once. */
function stepToPlace(place: number, intervalMs: number, dueAt: number): number {
  const way = intervalMs - (nextPlace(place, intervalMs, dueAt) - dueAt);
  return way <= intervalMs / 8 ? way : Math.floor(way / 2);
}

function keyOf({ feedId, topic }: TopicRef): string {
  return JSON.stringify([feedId, topic ?? null]);
}

function hash(key: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) state = Math.imul(state ^ key.charCodeAt(at), 0x01000193) >>> 0;
  return state;
}

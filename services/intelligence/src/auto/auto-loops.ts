/**
 * Which topics are analysed and when: listeners (presence), feeds and lane ownership make and end the loops of the schedule; its timer starts
 * their runs. Time and timer come in, so that tests need not wait. Tests: auto-loops.test.ts.
 */
import type { PresenceView } from "@headwater/messaging";
import { type FeedRecord, feedKeys, laneOf, parseFeedKey } from "@headwater/protocol";
import { type Run, Schedule, SCHEDULE_OPTIONS, type TopicRef } from "../domain/schedule.ts";
import type { ContextSource, Feeds, Ownership } from "../ports.ts";
import { analysisKey } from "./analysis-wire.ts";
import type { Ended } from "./run-analysis.ts";

export interface LoopSettings {
  /** `always`: also topics nobody listens to, `maxTopicsPerFeed` of each feed. */
  mode: "subscribed" | "always";
  maxTopicsPerFeed: number;
  /** Of feeds without an interval of their own. */
  intervalMs: number;
}

export interface LoopDeps {
  feeds: Feeds;
  contexts: Pick<ContextSource, "lastArrival" | "onArrival" | "topics">;
  ownership: Pick<Ownership, "owns" | "onChange">;
  presence: Pick<PresenceView, "count" | "keys" | "onChange" | "ready">;
  /** Never rejects. `waitMs`: its tick is over then. */
  run(run: Run, signal: AbortSignal, waitMs: number): Promise<Ended>;
  /** The topic failed so often that its listeners should know. Never rejects. */
  tell(ref: TopicRef, error: string): Promise<void>;
  onEnded(ended: Ended): void;
  /** The loop of the topic is gone; a later one begins without its past. */
  onGone(ref: TopicRef): void;
  /** ms; never jumps. */
  now(): number;
  /** Calls back once after `ms`. @returns function that forgets it. */
  after(ms: number, call: () => void): () => void;
  laneCount: number;
  settings: LoopSettings;
}

const SURFACE = "feeds";
/** With AUTO_ANALYSIS=always a topic without a message for so long leaves its place to one that has. */
const QUIET_MS = 600_000;
/** So many may begin in the same moment. */
const FEW_LOOPS = 50;

export class AutoLoops {
  readonly #deps: LoopDeps;
  /** Providers' places are given out in turns (fair-slots.ts), so the schedule holds nothing back. */
  readonly #schedule = new Schedule({ ...SCHEDULE_OPTIONS, slots: Number.POSITIVE_INFINITY });
  /** Feed → loops by routing key. */
  readonly #loops = new Map<string, Map<string, TopicRef>>();
  /** Feed → topics somebody listens to, whoever owns the lane. */
  readonly #heard = new Map<string, Set<string>>();
  /** AUTO_ANALYSIS=always: feed → topics that have a loop though nobody listens. */
  readonly #chosen = new Map<string, Set<string>>();
  readonly #calls = new Map<Run, { key: string; leave: AbortController; done: Promise<void> }>();
  readonly #stops: (() => void)[] = [];
  #disarm: (() => void) | undefined;
  #isPresenceReady = false;
  #isStopped = false;

  constructor(deps: LoopDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { contexts, feeds, ownership, presence } = this.#deps;
    for (const key of presence.keys(SURFACE).keys()) this.#hear(key, 1);
    void presence.ready.then(() => (this.#isPresenceReady = true));
    this.#stops.push(
      presence.onChange((surface, key, count) => {
        if (surface !== SURFACE) return;
        const feedId = this.#hear(key, count);
        // While we hear edges for the first time, listeners may have been there before us: many of them are no reason to hurry.
        if (feedId !== undefined) this.#sync(feedId, this.#isPresenceReady || this.#schedule.stats().loops < FEW_LOOPS);
      }),
      feeds.onChange((feedId) => this.#sync(feedId, true)),
      contexts.onArrival((feedId, topic, _ts, seq) => this.#arrived(feedId, topic, seq)),
      ownership.onChange((lane, isOwned) => {
        if (isOwned) {
          for (const feed of feeds.all()) if (this.#laneOf(feed.id) === lane) this.#sync(feed.id, false);
        } else for (const feedId of [...this.#loops.keys()]) if (this.#laneOf(feedId) === lane) this.#end(feedId);
      }),
    );
    this.#pump();
  }

  stats(): ReturnType<Schedule["stats"]> {
    return this.#schedule.stats();
  }

  /** Cancels what runs and waits for it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const stop of this.#stops) stop();
    this.#disarm?.();
    for (const feedId of [...this.#loops.keys()]) this.#end(feedId);
    await Promise.all([...this.#calls.values()].map(({ done }) => done));
  }

  /** @returns the feed whose loops may be others now. */
  #hear(key: string, count: number): string | undefined {
    const parsed = parseFeedKey(key);
    if (parsed.kind === "llm") return parsed.feedId;
    if (parsed.kind !== "topic") return undefined;
    const { feedId, topic } = parsed;
    const topics = this.#heard.get(feedId) ?? new Set();
    if (count > 0) this.#heard.set(feedId, topics.add(topic));
    else {
      topics.delete(topic);
      if (topics.size === 0) this.#heard.delete(feedId);
    }
    return feedId;
  }

  /** Loops of a feed as they should be now. */
  #sync(feedId: string, isNew: boolean): void {
    const { feeds, ownership, contexts } = this.#deps;
    if (this.#isStopped) return;
    const feed = feeds.get(feedId);
    if (feed === undefined || !feed.isActive || !ownership.owns(feedId)) return this.#end(feedId);
    const now = this.#deps.now();
    const intervalMs = this.#intervalOf(feed);
    this.#schedule.changeInterval(feedId, intervalMs, now);
    const wanted = this.#wanted(feed);
    const loops = this.#loops.get(feedId) ?? new Map<string, TopicRef>();
    for (const [key, ref] of loops) if (!wanted.has(key)) this.#unlisten(loops, key, ref);
    for (const [key, ref] of wanted) {
      if (loops.has(key)) continue;
      loops.set(key, ref);
      const newest = contexts.lastArrival(feedId, ref.topic)?.seq ?? -1;
      this.#schedule.listen(ref, { intervalMs, newest, isNew }, now);
    }
    if (loops.size === 0) this.#loops.delete(feedId);
    else this.#loops.set(feedId, loops);
    this.#pump();
  }

  #wanted(feed: FeedRecord): Map<string, TopicRef> {
    const { presence, settings, contexts } = this.#deps;
    const isAlways = settings.mode === "always";
    const refs: TopicRef[] = [];
    if (feed.enableTopicRouting) {
      if (isAlways && !this.#chosen.has(feed.id))
        this.#chosen.set(feed.id, new Set(contexts.topics(feed.id).slice(0, settings.maxTopicsPerFeed)));
      const topics = new Set([...(this.#heard.get(feed.id) ?? []), ...(this.#chosen.get(feed.id) ?? [])]);
      for (const topic of topics) refs.push({ feedId: feed.id, topic });
    } else if (feed.autoAnalysis && (isAlways || presence.count(SURFACE, feedKeys.llm(feed.id)) > 0)) refs.push({ feedId: feed.id });
    return new Map(refs.map((ref) => [analysisKey(ref), ref]));
  }

  #end(feedId: string): void {
    const loops = this.#loops.get(feedId);
    this.#chosen.delete(feedId);
    if (loops === undefined) return;
    this.#loops.delete(feedId);
    for (const [key, ref] of loops) this.#unlisten(loops, key, ref);
    this.#arm();
  }

  #unlisten(loops: Map<string, TopicRef>, key: string, ref: TopicRef): void {
    loops.delete(key);
    this.#deps.onGone(ref);
    if (!this.#schedule.unlisten(ref)) return;
    for (const call of this.#calls.values()) if (call.key === key) call.leave.abort(new Error("nobody listens"));
  }

  #arrived(feedId: string, topic: string | undefined, seq: number): void {
    const now = this.#deps.now();
    if (topic !== undefined && this.#deps.settings.mode === "always") this.#choose(feedId, topic, now);
    this.#schedule.arrived({ feedId, topic }, seq, now);
    const dueAt = this.#schedule.nextAt();
    if (dueAt !== undefined && dueAt <= now) this.#pump();
  }

  #choose(feedId: string, topic: string, now: number): void {
    const chosen = this.#chosen.get(feedId);
    if (chosen === undefined || chosen.has(topic)) return;
    if (chosen.size >= this.#deps.settings.maxTopicsPerFeed) {
      const isQuiet = (other: string): boolean => now - (this.#deps.contexts.lastArrival(feedId, other)?.ts ?? 0) > QUIET_MS;
      const quiet = [...chosen].find(isQuiet);
      if (quiet === undefined) return;
      chosen.delete(quiet);
    }
    chosen.add(topic);
    this.#sync(feedId, true);
  }

  #pump(): void {
    if (this.#isStopped) return;
    for (const run of this.#schedule.take(this.#deps.now())) this.#begin(run);
    this.#arm();
  }

  #begin(run: Run): void {
    const feed = this.#deps.feeds.get(run.feedId);
    const leave = new AbortController();
    const waitMs = feed === undefined ? 0 : this.#intervalOf(feed);
    const done = this.#deps.run(run, leave.signal, waitMs).then((ended) => this.#ended(run, ended));
    this.#calls.set(run, { key: analysisKey(run), leave, done });
  }

  #ended(run: Run, ended: Ended): void {
    this.#calls.delete(run);
    this.#deps.onEnded(ended);
    const { tellFailure } = this.#schedule.finished(run, ended.outcome, this.#deps.now());
    if (tellFailure && ended.error !== undefined) void this.#deps.tell(run, ended.error);
    this.#arm();
  }

  #arm(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    const dueAt = this.#schedule.nextAt();
    if (dueAt === undefined || this.#isStopped) return;
    this.#disarm = this.#deps.after(Math.max(0, dueAt - this.#deps.now()), () => this.#pump());
  }

  #intervalOf({ queryInterval }: FeedRecord): number {
    return queryInterval === undefined ? this.#deps.settings.intervalMs : queryInterval * 1_000;
  }

  #laneOf(feedId: string): number {
    return laneOf(feedId, this.#deps.laneCount);
  }
}

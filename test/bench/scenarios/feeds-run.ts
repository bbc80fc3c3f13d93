/**
 * One measured run of feeds: upstream by timetable → pipeline → subscribed sockets, every message accounted for at every socket that must get
 * it. Product and reference are run by the same function.
 */
import { planFeeds, subscriptionKey } from "../../support/feed-plan.ts";
import { nowUs } from "../../support/monotonic.ts";
import { CpuMeter, type CpuUse } from "../../support/process-stats.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { UpstreamPlan, UpstreamSending, UpstreamSent } from "../../support/upstream-role.ts";
import type { FeedSinkOptions, FeedSinkResult } from "../load/feed-sink-role.ts";
import type { FeedsPipeline } from "../reference/feeds-reference.ts";

export interface FeedsRunOptions {
  /** Six characters. */
  run: string;
  /** Messages a second of each feed. */
  perFeed: number;
  sockets: number;
  /** One more socket that asks for everything, and reads it or nothing. */
  extra?: "reading" | "stalled" | undefined;
  warmupSeconds: number;
  seconds: number;
}

export interface FeedsRunResult extends FeedSinkResult {
  upstream: UpstreamSent;
  messagesPerSecond: number;
  deliveriesPerSecond: number;
  processes: CpuUse[];
  warnings: string[];
}

export function startFeedSink(): Promise<Role> {
  return startRole("sink", new URL("../load/feed-sink-role.ts", import.meta.url), { isFirst: true });
}

/** Every other socket hears one plain feed whole; all of them some topics of several feeds, frequent ones and rare ones. */
export function keysOfSocket(plan: UpstreamPlan, socket: number): string[] {
  const feeds = planFeeds(plan.feeds, plan.plainEvery);
  const plain = feeds.filter((feed) => !feed.isRouted);
  const routed = feeds.filter((feed) => feed.isRouted);
  const keys = new Set<string>();
  const raw = plain[(socket >> 1) % plain.length];
  if (socket % 2 === 0 && raw) keys.add(subscriptionKey(raw.index));
  for (let i = 0; i < (socket % 2 === 0 ? 3 : 6); i++) {
    const feed = routed[(socket * 7 + i * 23) % routed.length];
    if (feed) keys.add(subscriptionKey(feed.index, (socket + i) % feed.topics.length));
  }
  return [...keys];
}

/** Up to the limit of a socket: all plain feeds, and the most frequent topics of the others. */
function keysOfExtra(plan: UpstreamPlan): string[] {
  const feeds = planFeeds(plan.feeds, plan.plainEvery);
  return feeds.flatMap((feed) =>
    feed.isRouted ? [0, 1, 2].map((topic) => subscriptionKey(feed.index, topic)) : [subscriptionKey(feed.index)],
  );
}

export async function runFeeds(pipeline: FeedsPipeline, sink: Role, plan: UpstreamPlan, options: FeedsRunOptions): Promise<FeedsRunResult> {
  const rate = options.perFeed * plan.feeds;
  const seconds = options.warmupSeconds + options.seconds;
  const socketOf = (keys: string[]) => ({ keys, ...pipeline.greet(keys) });
  const target: FeedSinkOptions = {
    ...pipeline.ws,
    replyMarker: pipeline.replyMarker,
    plan,
    sockets: Array.from({ length: options.sockets }, (_, socket) => socketOf(keysOfSocket(plan, socket))),
  };
  await sink.ask("open", target);
  try {
    if (options.extra) {
      await sink.ask("extra", { ...target, sockets: [socketOf(keysOfExtra(plan))], isStalled: options.extra === "stalled" });
    }
    await sink.ask("begin", {
      run: options.run,
      maxMessages: Math.ceil(rate * (seconds + 1)),
      measureFromUs: nowUs() + options.warmupSeconds * 1e6,
    });
    const meter = new CpuMeter(() => new Map([...pipeline.pids(), ["sink", sink.pid]]));
    const startedUs = nowUs();
    const sending: UpstreamSending = { run: options.run, rate, seconds, warmupSeconds: options.warmupSeconds };
    const upstream = await pipeline.upstream.ask<UpstreamSent>("run", sending);
    const used = meter.stop();
    const result = await sink.ask<FeedSinkResult>("finish", { sent: upstream.sent, unsent: upstream.unsent, quietMs: 5_000 });
    const tookSeconds = (nowUs() - startedUs) / 1e6;
    const warnings: string[] = [];
    if (upstream.lagP99 > 5) warnings.push(`void: upstream late, p99 ${upstream.lagP99.toFixed(1)} ms`);
    if (upstream.unsent.length > 0) warnings.push(`${upstream.unsent.length} messages found no connection`);
    if (result.foreign > 0) warnings.push(`${result.foreign} messages at sockets that did not ask for them`);
    if (result.lost > 0) warnings.push(`lost: ${result.examples.join(", ")}`);
    if (result.closed.length > 0) warnings.push(`sockets closed: ${result.closed.slice(0, 3).join(", ")}`);
    for (const { name, cpuSeconds } of used.processes)
      if (["upstream", "sink"].includes(name) && cpuSeconds > 0.9 * used.seconds)
        warnings.push(`${name} used ${((100 * cpuSeconds) / used.seconds).toFixed(0)} % of a core`);
    return {
      ...result,
      upstream,
      messagesPerSecond: upstream.sent / tookSeconds,
      deliveriesPerSecond: result.delivered / tookSeconds,
      processes: used.processes,
      warnings,
    };
  } finally {
    await sink.ask("closeExtra");
    await sink.ask("close");
  }
}

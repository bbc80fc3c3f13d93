/** Metrics of contexts and of questions; automatic analyses have their own (auto/). No feed, tenant or question is a label. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ContextStats } from "./domain/context-store.ts";

export interface TelemetrySources {
  contexts(): ContextStats & { damagedFrames: number };
  slots(): { size: number; free: number; waiting: number };
  usageWaiting(): number;
  runningCalls(): number;
  pausedProviders(): string[];
}

export interface CallReport {
  provider: string;
  outcome: string;
  ms: number;
  firstTokenMs?: number | undefined;
  tokens: number;
}

const SECONDS = [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120];

export class Telemetry {
  readonly #calls: Histogram<"provider" | "outcome">;
  readonly #firstToken: Histogram<"provider">;
  readonly #tokens: Counter<"provider">;
  readonly #rebuilds: Histogram;

  constructor(registry: Registry, sources: TelemetrySources) {
    const registers = [registry];
    this.#calls = new Histogram({
      name: "headwater_llm_call_seconds",
      help: "Provider calls for questions of people, by how they ended",
      labelNames: ["provider", "outcome"],
      buckets: SECONDS,
      registers,
    });
    this.#firstToken = new Histogram({
      name: "headwater_llm_first_token_seconds",
      help: "Time to the first word of streamed answers",
      labelNames: ["provider"],
      buckets: SECONDS,
      registers,
    });
    this.#tokens = new Counter({
      name: "headwater_llm_tokens_total",
      help: "Tokens of questions of people, as billed",
      labelNames: ["provider"],
      registers,
    });
    this.#rebuilds = new Histogram({
      name: "headwater_contexts_rebuild_seconds",
      help: "Time to read the contexts of acquired lanes out of the log",
      buckets: SECONDS,
      registers,
    });
    const gauge = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    };
    gauge("headwater_contexts_feeds", "Feeds with messages in memory", () => sources.contexts().feeds);
    gauge("headwater_contexts_topics", "Topics with messages in memory", () => sources.contexts().topics);
    gauge("headwater_contexts_bytes", "Size of the messages in memory, bytes", () => sources.contexts().bytes);
    gauge("headwater_contexts_evicted_topics", "Topics dropped for their bound since the start", () => sources.contexts().evictedTopics);
    gauge(
      "headwater_contexts_evicted_feeds",
      "Feeds dropped for the bound of the process since the start",
      () => sources.contexts().evictedFeeds,
    );
    gauge(
      "headwater_contexts_damaged_frames",
      "Frames of TOPICS that could not be read since the start",
      () => sources.contexts().damagedFrames,
    );
    gauge("headwater_llm_slots", "Places for provider calls", () => sources.slots().size);
    gauge("headwater_llm_slots_free", "Places for provider calls that are free", () => sources.slots().free);
    gauge("headwater_llm_slots_waiting", "Calls that wait for a place", () => sources.slots().waiting);
    gauge("headwater_llm_running_calls", "Calls of edges being answered", () => sources.runningCalls());
    gauge("headwater_llm_paused_providers", "Providers that are not asked after failures in a row", () => sources.pausedProviders().length);
    gauge("headwater_llm_usage_waiting", "Additions to token counters that auth has not taken yet", () => sources.usageWaiting());
  }

  called({ provider, outcome, ms, firstTokenMs, tokens }: CallReport): void {
    this.#calls.observe({ provider, outcome }, ms / 1_000);
    if (firstTokenMs !== undefined) this.#firstToken.observe({ provider }, firstTokenMs / 1_000);
    if (tokens > 0) this.#tokens.inc({ provider }, tokens);
  }

  rebuilt(ms: number): void {
    this.#rebuilds.observe(ms / 1_000);
  }
}

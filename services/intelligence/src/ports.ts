/**
 * What the parts of intelligence need of each other: contexts and calls (contexts/, calls/, http/) on one side, automatic analyses (auto/) on
 * the other. Shapes only; service.ts puts the pieces together. Nothing here may import an adapter.
 */
import type { AnalysisExt, FeedRecord, TokenUsage } from "@headwater/protocol";
import type { Window } from "./domain/context-store.ts";
import type { Slot, SlotRequest } from "./domain/fair-slots.ts";
import type { MemoryEntry } from "./domain/memory.ts";
import type { Provider } from "./domain/provider.ts";
import type { Selection } from "./domain/provider-selection.ts";

export type { ContextEntry, Window } from "./domain/context-store.ts";
export type { Slot, SlotRequest } from "./domain/fair-slots.ts";

export interface Arrival {
  /** Receive time of the upstream message, ms. */
  ts: number;
  /** TOPICS sequence. */
  seq: number;
}

/** Contexts of the lanes this instance owns. A feed of another lane looks like one without data. */
export interface ContextSource {
  /** No topic: the feed as a whole; of a topic-routed feed the newest entries across its topics, each with its topic. */
  window(feedId: string, topic: string | undefined): Window | undefined;
  lastArrival(feedId: string, topic: string | undefined): Arrival | undefined;
  /**
   * Once per frame and topic with the newest message of it, in order; `topic` is undefined for messages of plain feeds. Not called for what is
   * read while a lane is rebuilt: after `Ownership.onChange(lane, true)` ask `lastArrival`. @returns function that ends the listening.
   */
  onArrival(listener: (feedId: string, topic: string | undefined, ts: number, seq: number) => void): () => void;
  /** Topics with data, most recently updated first. */
  topics(feedId: string): string[];
}

/** Who answers and analyses for a feed: one instance per lane, by leases of family `analyses`. */
export interface Ownership {
  /** The lane's lease is ours and fresh by the monotonic clock, and its contexts are rebuilt. */
  owns(feedId: string): boolean;
  /** Revision of the lane's lease while it is ours: goes into frames. */
  epochOf(feedId: string): number | undefined;
  /**
   * `true` when contexts of the lane are rebuilt, `false` before the lease is given up or after it was lost. Lanes owned already are told at
   * once. @returns function that ends the listening.
   */
  onChange(listener: (lane: number, isOwned: boolean) => void): () => void;
  /** The lane has another owner whatever our lease says (a frame was refused): stop at once. It may be acquired again later. */
  giveUp(lane: number): void;
}

/** Feeds of the registry. Visibility is the caller's business: automatic analyses serve the feed, manual ones ask `isVisible`. */
export interface Feeds {
  get(feedId: string): FeedRecord | undefined;
  all(): Iterable<FeedRecord>;
  /** `feed` is undefined when it was deleted. @returns function that ends the listening. */
  onChange(listener: (feedId: string, feed: FeedRecord | undefined) => void): () => void;
}

/** LLM_MAX_CONCURRENCY places at providers, for manual and automatic calls alike; tenants take turns, and feeds within a tenant. */
export interface Slots {
  readonly size: number;
  /** Free now. */
  free(): number;
  /** Waits for its turn. @throws the signal's reason when it is aborted meanwhile. */
  acquire(request: SlotRequest): Promise<Slot>;
}

export type UsageCheck =
  | { ok: true; tokenUsage: TokenUsage }
  /** `quota`: the month is used up and may not be overdrawn (further). `unavailable`: nobody can tell. */
  | { ok: false; reason: "quota"; tokenUsage: TokenUsage }
  | { ok: false; reason: "unavailable" };

/** The month's counter of an account (`svc.auth.usage`). Answers may be a few seconds old. */
export interface Usage {
  check(tenantId: string): Promise<UsageCheck>;
  /** `id` makes it count once. Tries for a few seconds. Undefined: auth did not answer, so it may not be counted. */
  add(tenantId: string, id: string, tokens: number): Promise<TokenUsage | undefined>;
}

export interface Providers {
  /** By name or alias, else the operator's default, else the first one. */
  select(requested: string | undefined): Selection;
  /** One that `select` chose: with deadline, retry and circuit breaker around it. */
  get(id: string): Provider | undefined;
  /** Ids in the order of preference; may change while we run. */
  readonly ids: readonly string[];
  /** A call to it costs tokens of the quota; the builtin analyst's does not. */
  isBilled(id: string): boolean;
}

/** Last three automatic answers per topic, newest first; rebuilt from ANALYSES when a lane is acquired. */
export interface AutoMemory {
  recall(feedId: string, topic: string | undefined): MemoryEntry[];
  remember(feedId: string, topic: string | undefined, entry: MemoryEntry): void;
}

export interface AnalysisOutput {
  /** `feedKeys.topic` or `feedKeys.llm`. */
  key: string;
  /** One JSON object, no newline. */
  wire: string;
  /** `k` is filled in by the writer. */
  ext: Omit<AnalysisExt, "k">;
}

/** Frames on `analyses.<lane>`; only the owner of the feed's lane may write. */
export interface AnalysisWriter {
  /** Stored when it resolves. @throws when the lane is not ours (any more): nothing was stored. */
  write(feedId: string, outputs: readonly AnalysisOutput[]): Promise<void>;
}

/**
 * What one `/ws` socket listens to: per feed its raw data, its intelligence and its topics, and the subscribers behind them: one on TOPICS per
 * subscription that wants data and one per feed for its status, one on ANALYSES per topic and per feed whose intelligence is wanted.
 * Tests: feeds-delivery.int.test.ts, feeds-analyses.int.test.ts.
 */
import { feedKeys } from "@headwater/protocol";
import type { StreamHub } from "../../adapters/hub.ts";
import type { Resumer } from "../../adapters/resume.ts";
import { encodeFrame, type Rendered } from "../../adapters/rfc6455.ts";
import type { DropOwner } from "../../adapters/send-queue.ts";
import { type Lineage, type Outlet, Subscriber, type SubscriberHooks, type View } from "../../adapters/subscriber.ts";
import type { WsConnection } from "../../adapters/ws-connection.ts";
import type { StreamPosition } from "../../domain/position.ts";
import { socketFrames } from "./frames.ts";
import type { Listened } from "./kept-session.ts";
import type { FeedViews } from "./view.ts";

export interface SubscriptionContext {
  /** TOPICS. */
  hub: StreamHub;
  /** ANALYSES. */
  analyses: StreamHub;
  resumer: Resumer;
  views: FeedViews;
  /** Keeps presence: one more or one less socket of this edge listens to the key. */
  listening(key: string, change: 1 | -1): void;
}

/** Where a subscription's data begins; without it, now. */
export interface DataStart {
  from: StreamPosition;
  notBeforeMs: number | undefined;
  hasGap: boolean;
}

/** Data of one feed or one topic on its way to one socket. */
class DataFlow implements Outlet, DropOwner, SubscriberHooks, Lineage {
  readonly #connection: WsConnection;
  readonly #feedId: string;
  readonly #topic: string | undefined;
  readonly subscriber: Subscriber;
  /** Lineage: nothing is numbered here. */
  count = 0;

  constructor(
    connection: WsConnection,
    feedId: string,
    topic: string | undefined,
    view: View,
    position: StreamPosition,
    notBeforeMs?: number,
  ) {
    this.#connection = connection;
    this.#feedId = feedId;
    this.#topic = topic;
    const routingKey = topic === undefined ? feedKeys.data(feedId) : feedKeys.topic(feedId, topic);
    this.subscriber = new Subscriber({ routingKey, view, outlet: this, hooks: this, lineage: this, position, notBeforeMs });
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  send(rendered: Rendered): void {
    this.#connection.sendDroppable(rendered, this);
  }

  whenRoom(owner: object, belowBytes: number, run: () => void): void {
    this.#connection.whenRoom(owner, belowBytes, run);
  }

  gapFrame(frames: number): Buffer {
    return encodeFrame(Buffer.from(socketFrames.gap(this.#feedId, this.#topic, "slow_consumer", frames)));
  }

  onGap(): void {
    this.#connection.sendText(socketFrames.gap(this.#feedId, this.#topic, "retention"));
  }

  onLive(): void {
    // The contract has no frame for it.
  }

  cursorAt(): string {
    return "";
  }
}

/** Automatic answers about one topic, or about one feed as a whole: few, paid for, and never left out. */
class AnalysisFlow implements SubscriberHooks, Lineage {
  readonly #connection: WsConnection;
  readonly #feedId: string;
  readonly #topic: string | undefined;
  readonly subscriber: Subscriber;
  /** Lineage: nothing is numbered here. */
  count = 0;

  constructor(connection: WsConnection, feedId: string, topic: string | undefined, view: View, position: StreamPosition) {
    this.#connection = connection;
    this.#feedId = feedId;
    this.#topic = topic;
    const routingKey = topic === undefined ? feedKeys.llm(feedId) : feedKeys.topic(feedId, topic);
    this.subscriber = new Subscriber({ routingKey, view, outlet: connection, hooks: this, lineage: this, position });
  }

  onGap(): void {
    this.#connection.sendText(socketFrames.gap(this.#feedId, this.#topic, "retention"));
  }

  onLive(): void {
    // Never replayed.
  }

  cursorAt(): string {
    return "";
  }
}

interface TopicEntry {
  analyses: AnalysisFlow;
  /** Exists when data was asked for. */
  data: DataFlow | undefined;
}

/** Shared by every control subscriber: it has no history to miss and nothing to number. */
const CONTROL_HOOKS: SubscriberHooks = { onGap: () => undefined, onLive: () => undefined };

interface FeedEntry {
  control: Subscriber;
  raw: DataFlow | undefined;
  llm: AnalysisFlow | undefined;
  topics: Map<string, TopicEntry> | undefined;
}

export class SocketSubscriptions {
  readonly #c: SubscriptionContext;
  readonly #connection: WsConnection;
  readonly #feeds = new Map<string, FeedEntry>();
  #view: View;
  #changed: () => void = () => undefined;
  #count = 0;
  #analysesCount = 0;

  constructor(context: SubscriptionContext, connection: WsConnection) {
    this.#c = context;
    this.#connection = connection;
    this.#view = context.views.plain;
  }

  /** Raw data, intelligence and each topic of each feed count one. */
  get count(): number {
    return this.#count;
  }

  /** Those of them that want automatic answers. */
  get analysesCount(): number {
    return this.#analysesCount;
  }

  get feedIds(): string[] {
    return [...this.#feeds.keys()];
  }

  has(feedId: string): boolean {
    return this.#feeds.has(feedId);
  }

  hasRaw(feedId: string): boolean {
    return this.#feeds.get(feedId)?.raw !== undefined;
  }

  hasLlm(feedId: string): boolean {
    return this.#feeds.get(feedId)?.llm !== undefined;
  }

  hasTopic(feedId: string, topic: string): boolean {
    return this.#feeds.get(feedId)?.topics?.has(topic) ?? false;
  }

  hasTopicData(feedId: string, topic: string): boolean {
    return this.#feeds.get(feedId)?.topics?.get(topic)?.data !== undefined;
  }

  topicsOf(feedId: string): string[] {
    return [...(this.#feeds.get(feedId)?.topics?.keys() ?? [])];
  }

  /** All of it, with what makes it the same again. */
  get listened(): Listened {
    const feeds = [...this.#feeds].map(([id, { raw, llm, topics }]) => {
      const entries = [...(topics ?? [])];
      const named = (hasData: boolean): string[] =>
        entries.flatMap(([topic, { data }]) => ((data !== undefined) === hasData ? [topic] : []));
      return { id, raw: raw !== undefined, llm: llm !== undefined, topics: named(false), dataTopics: named(true) };
    });
    return { cursors: this.#view === this.#c.views.withCursor, feeds };
  }

  /** @param listener called when `listened` changes; replaces the one before */
  watch(listener: () => void): void {
    this.#changed = listener;
  }

  addRaw(feedId: string, start?: DataStart): void {
    const entry = this.#entry(feedId);
    if (entry.raw) return;
    this.#counted(feedKeys.data(feedId), 1);
    entry.raw = this.#flow(feedId, undefined, start);
  }

  addLlm(feedId: string): void {
    const entry = this.#entry(feedId);
    if (entry.llm) return;
    entry.llm = this.#analyses(feedId, undefined);
    this.#counted(feedKeys.llm(feedId), 1);
  }

  addTopic(feedId: string, topic: string, withData: boolean, start?: DataStart): void {
    const entry = this.#entry(feedId);
    entry.topics ??= new Map();
    let known = entry.topics.get(topic);
    if (!known) {
      known = { analyses: this.#analyses(feedId, topic), data: undefined };
      entry.topics.set(topic, known);
      this.#counted(feedKeys.topic(feedId, topic), 1);
    }
    if (!withData || known.data) return;
    known.data = this.#flow(feedId, topic, start);
    this.#changed();
  }

  removeRaw(feedId: string): void {
    const entry = this.#feeds.get(feedId);
    if (!entry?.raw) return;
    this.#end(entry.raw);
    entry.raw = undefined;
    this.#counted(feedKeys.data(feedId), -1);
    this.#forgetIfEmpty(feedId, entry);
  }

  removeLlm(feedId: string): void {
    const entry = this.#feeds.get(feedId);
    if (!entry?.llm) return;
    this.#endAnalyses(entry.llm);
    entry.llm = undefined;
    this.#counted(feedKeys.llm(feedId), -1);
    this.#forgetIfEmpty(feedId, entry);
  }

  removeTopic(feedId: string, topic: string): void {
    const entry = this.#feeds.get(feedId);
    const known = entry?.topics?.get(topic);
    if (!entry || !known) return;
    this.#end(known.data);
    this.#endAnalyses(known.analyses);
    entry.topics?.delete(topic);
    this.#counted(feedKeys.topic(feedId, topic), -1);
    this.#forgetIfEmpty(feedId, entry);
  }

  removeFeed(feedId: string): void {
    this.removeRaw(feedId);
    this.removeLlm(feedId);
    for (const topic of this.topicsOf(feedId)) this.removeTopic(feedId, topic);
  }

  /** From now on data frames carry cursors. */
  useCursors(): void {
    this.#view = this.#c.views.withCursor;
    for (const entry of this.#feeds.values()) {
      if (entry.raw) this.#c.hub.setView(entry.raw.subscriber, this.#view);
      for (const { data } of entry.topics?.values() ?? []) if (data) this.#c.hub.setView(data.subscriber, this.#view);
    }
    this.#changed();
  }

  #entry(feedId: string): FeedEntry {
    const known = this.#feeds.get(feedId);
    if (known) return known;
    const { hub, views } = this.#c;
    const control = new Subscriber({
      routingKey: feedKeys.control(feedId),
      view: views.plain,
      outlet: this.#connection,
      hooks: CONTROL_HOOKS,
      lineage: { count: 0, cursorAt: () => "" },
      position: hub.end,
    });
    const entry: FeedEntry = { control, raw: undefined, llm: undefined, topics: undefined };
    this.#feeds.set(feedId, entry);
    this.#c.listening(feedKeys.control(feedId), 1);
    hub.attach(control);
    return entry;
  }

  #flow(feedId: string, topic: string | undefined, start: DataStart | undefined): DataFlow {
    const { hub, resumer } = this.#c;
    const flow = new DataFlow(this.#connection, feedId, topic, this.#view, start?.from ?? hub.end, start?.notBeforeMs);
    if (!start) {
      hub.attach(flow.subscriber);
      return flow;
    }
    if (start.hasGap) flow.onGap();
    resumer.start(flow.subscriber);
    return flow;
  }

  #analyses(feedId: string, topic: string | undefined): AnalysisFlow {
    const { analyses, views } = this.#c;
    const flow = new AnalysisFlow(this.#connection, feedId, topic, views.plain, analyses.end);
    this.#analysesCount++;
    analyses.attach(flow.subscriber);
    return flow;
  }

  #endAnalyses(flow: AnalysisFlow): void {
    this.#analysesCount--;
    this.#c.analyses.detach(flow.subscriber);
  }

  #end(flow: DataFlow | undefined): void {
    if (!flow) return;
    this.#c.hub.detach(flow.subscriber);
    this.#c.resumer.remove(flow.subscriber);
  }

  #counted(key: string, change: 1 | -1): void {
    this.#count += change;
    this.#c.listening(key, change);
    this.#changed();
  }

  #forgetIfEmpty(feedId: string, entry: FeedEntry): void {
    if (entry.raw || entry.llm || (entry.topics?.size ?? 0) > 0) return;
    this.#feeds.delete(feedId);
    this.#c.hub.detach(entry.control);
    this.#c.listening(feedKeys.control(feedId), -1);
  }
}

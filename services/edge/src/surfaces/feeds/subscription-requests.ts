/**
 * How one `/ws` socket comes to listen to feeds and stops: who may, how many, where the data begins, and which logs have to be read for it. A
 * subscription that has to wait for a log is judged again afterwards. Tests: subscription-requests.test.ts, feeds-table.int.test.ts.
 */
import { SOCKET_ERRORS } from "@headwater/protocol";
import type { WsConnection } from "../../adapters/ws-connection.ts";
import { mayDo, maySee, type SocketState } from "../../domain/socket-access.ts";
import { type Echo, parseSocketMessage, type SocketMessage, type SocketRequest, topicText } from "../../domain/socket-message.ts";
import { type ErrorType, socketFrames } from "./frames.ts";
import { type Listened, requestsOf } from "./kept-session.ts";
import type { SocketContext, StartWish } from "./socket-context.ts";
import type { DataStart, SocketSubscriptions } from "./subscriptions.ts";

export type Subscribe = SocketRequest<"subscribe-feed" | "subscribe-topic" | "subscribe-llm" | "subscribe-all">;

type Context = Pick<SocketContext, "anonymousSubscriptions" | "registeredAccess" | "feed" | "hold" | "release" | "planStart">;

/** What is done to a socket's subscriptions. */
export type Listening = Pick<
  SocketSubscriptions,
  | "count"
  | "analysesCount"
  | "feedIds"
  | "hasRaw"
  | "hasLlm"
  | "hasTopic"
  | "hasTopicData"
  | "addRaw"
  | "addLlm"
  | "addTopic"
  | "removeFeed"
  | "removeTopic"
  | "useCursors"
>;

export class SubscriptionRequests {
  readonly #c: Context;
  readonly #connection: Pick<WsConnection, "isOpen" | "sendText">;
  readonly #subscriptions: Listening;
  readonly #state: () => SocketState;
  #holdsTopics = false;
  #holdsAnalyses = false;
  #isSubscribing = false;
  #resumeCursor: string | undefined;

  /** @param state who the socket is now */
  constructor(context: Context, connection: Pick<WsConnection, "isOpen" | "sendText">, subscriptions: Listening, state: () => SocketState) {
    this.#c = context;
    this.#connection = connection;
    this.#subscriptions = subscriptions;
    this.#state = state;
  }

  /** From now on data frames carry cursors. @param cursor where subscriptions without one begin */
  resume(cursor: string | undefined): undefined {
    this.#resumeCursor = cursor;
    this.#subscriptions.useCursors();
    return this.#say(socketFrames.resumed);
  }

  /** @returns a promise when the next message has to wait. */
  subscribe(message: Subscribe): Promise<void> | undefined {
    const problem = this.#refusal(message);
    if (problem !== undefined) return this.#fail("subscription-error", problem, message.echo);
    const wish = this.#startWish(message);
    if (this.#holdsAll(message) && !wish) return this.#begin(message, undefined);
    return this.#subscribeLater(message, wish);
  }

  /**
   * Subscribes to what an earlier socket of the session listened to, as if it were asked for now. Data begins at the cursor of `resume`, or with a
   * gap: how far the earlier one came is not known here.
   * @param announce called once, before anything of it is told, with the number that succeeds; not when the socket closes first
   */
  async restore(kept: Listened, announce: (count: number) => void): Promise<void> {
    this.#isSubscribing = true;
    try {
      const wanted = requestsOf(kept.feeds).flatMap((request) => {
        const message = parseSocketMessage(JSON.stringify(request));
        // Another version's record may hold what is no request here.
        return message.kind === "message" && isSubscribe(message) ? [message] : [];
      });
      const isReady = await this.#holdLogsOfAll(wanted);
      const starts = await this.#startsOf(wanted.filter(isReady));
      if (!this.#connection.isOpen) return;
      let planned = 0;
      const steps = wanted.flatMap((message) => {
        const added = this.#newSubscriptions(message);
        const wish = this.#startWish(message, true);
        // It has it already.
        if (added === 0 && !wish) return [];
        const problem = this.#problem(message, planned);
        const start = wish ? starts.get(message.payload.feedId) : undefined;
        if (problem === undefined && (!isReady(message) || (wish && !start)))
          return [{ message, problem: SOCKET_ERRORS.unavailable, start }];
        if (problem === undefined) planned += added;
        return [{ message, problem, start }];
      });
      announce(steps.filter(({ problem }) => problem === undefined).length);
      if (kept.cursors) this.#subscriptions.useCursors();
      for (const { message, problem, start } of steps) {
        if (problem === undefined) this.#begin(message, start);
        else this.#fail("subscription-error", problem, message.echo);
      }
    } finally {
      this.#isSubscribing = false;
      this.releaseIdleLogs();
    }
  }

  /** Asks once per log, however many wait for it. */
  async #holdLogsOfAll(messages: readonly Subscribe[]): Promise<(message: Subscribe) => boolean> {
    const plain = messages.find((message) => !wantsAnalyses(message));
    const analyses = messages.find(wantsAnalyses);
    const hasPlain = plain !== undefined && (await this.#holdLogs(plain));
    const hasAnalyses = analyses !== undefined && (await this.#holdLogs(analyses));
    return (message) => (wantsAnalyses(message) ? hasAnalyses : hasPlain);
  }

  /** By feed: the cursor of `resume` is good for one. Those that cannot be told are absent. */
  async #startsOf(messages: readonly Subscribe[]): Promise<Map<string, DataStart>> {
    const starts = new Map<string, DataStart>();
    for (const message of messages) {
      const { feedId } = message.payload;
      const wish = this.#startWish(message, true);
      const feed = this.#c.feed(feedId);
      if (!wish || !feed || starts.has(feedId)) continue;
      const start = await this.#c.planStart(feedId, wish, feed);
      // Nobody waits for every feed in turn when the broker is away.
      if (!start) break;
      starts.set(feedId, start);
    }
    return starts;
  }

  #holdsAll(message: Subscribe): boolean {
    return this.#holdsTopics && (this.#holdsAnalyses || !wantsAnalyses(message));
  }

  async #subscribeLater(message: Subscribe, wish: StartWish | undefined): Promise<void> {
    this.#isSubscribing = true;
    try {
      await this.#subscribeWhenReady(message, wish);
    } finally {
      this.#isSubscribing = false;
      this.releaseIdleLogs();
    }
  }

  async #subscribeWhenReady(message: Subscribe, wish: StartWish | undefined): Promise<void> {
    const unavailable = (): undefined => this.#fail("subscription-error", SOCKET_ERRORS.unavailable, message.echo);
    if (!(await this.#holdLogs(message))) return unavailable();
    let start: DataStart | null | undefined;
    const feed = this.#c.feed(message.payload.feedId);
    if (wish && feed) {
      start = await this.#c.planStart(message.payload.feedId, wish, feed);
      if (start === undefined) return unavailable();
    }
    if (!this.#connection.isOpen) return undefined;
    // The world went on while we waited.
    const problem = this.#problem(message);
    return problem === undefined ? this.#begin(message, start ?? undefined) : this.#fail("subscription-error", problem, message.echo);
  }

  /** False when the broker cannot be asked. A socket that closes meanwhile keeps nothing. */
  async #holdLogs(message: Subscribe): Promise<boolean> {
    if (!this.#holdsTopics) {
      if (!(await this.#c.hold("topics"))) return false;
      if (this.#connection.isOpen) this.#holdsTopics = true;
      else this.#c.release("topics");
    }
    if (!this.#holdsAnalyses && wantsAnalyses(message) && this.#connection.isOpen) {
      if (!(await this.#c.hold("analyses"))) return false;
      if (this.#connection.isOpen) this.#holdsAnalyses = true;
      else this.#c.release("analyses");
    }
    return true;
  }

  #problem(message: Subscribe, planned?: number): string | undefined {
    return mayDo(this.#state(), message.type, this.#c.registeredAccess) ? this.#refusal(message, planned) : SOCKET_ERRORS.forbidden;
  }

  /** @param planned subscriptions that come before it */
  #refusal(message: Subscribe, planned = 0): string | undefined {
    const { feedId } = message.payload;
    const feed = this.#c.feed(feedId);
    if (!feed || !maySee(this.#state(), feed)) return SOCKET_ERRORS.feed_not_found;
    if (message.type === "subscribe-topic" && !feed.enableTopicRouting) return SOCKET_ERRORS.no_topics;
    const state = this.#state();
    const limit = state.kind === "authenticated" ? state.identity.limits.feedSubscriptionsPerSocket : this.#c.anonymousSubscriptions;
    return this.#subscriptions.count + planned + this.#newSubscriptions(message) > limit ? SOCKET_ERRORS.too_many_subscriptions : undefined;
  }

  #newSubscriptions(message: Subscribe): number {
    const { feedId } = message.payload;
    const subscriptions = this.#subscriptions;
    if (message.type === "subscribe-topic") return subscriptions.hasTopic(feedId, topicText(message.payload.topic)) ? 0 : 1;
    const raw = message.type !== "subscribe-llm" && !subscriptions.hasRaw(feedId) ? 1 : 0;
    const llm = message.type !== "subscribe-feed" && !subscriptions.hasLlm(feedId) ? 1 : 0;
    return raw + llm;
  }

  /**
   * Only for data that does not flow yet: a second copy of what was already sent would be no resume.
   * @param isRestored it flowed on an earlier socket
   */
  #startWish(message: Subscribe, isRestored = false): StartWish | undefined {
    const { feedId } = message.payload;
    if (message.type === "subscribe-llm") return undefined;
    if (message.type === "subscribe-topic") {
      if (!wantsData(message) || this.#subscriptions.hasTopicData(feedId, topicText(message.payload.topic))) return undefined;
    } else if (this.#subscriptions.hasRaw(feedId)) return undefined;
    const { cursor = this.#resumeCursor, since } = message.payload;
    if (cursor !== undefined || since !== undefined) return { cursor, since };
    return isRestored ? { isLost: true } : undefined;
  }

  #begin(message: Subscribe, start: DataStart | undefined): undefined {
    const { feedId } = message.payload;
    const subscriptions = this.#subscriptions;
    const isTopicFeed = this.#c.feed(feedId)?.enableTopicRouting ?? false;
    // The answer comes before anything it causes.
    switch (message.type) {
      case "subscribe-topic": {
        const topic = topicText(message.payload.topic);
        this.#say(socketFrames.subscribed(feedId, topic, "topic", false));
        subscriptions.addTopic(feedId, topic, wantsData(message), start);
        break;
      }
      case "subscribe-feed":
        this.#say(socketFrames.subscribed(feedId, undefined, "feed-data", isTopicFeed));
        subscriptions.addRaw(feedId, start);
        break;
      case "subscribe-llm":
        this.#say(socketFrames.subscribed(feedId, undefined, "llm-only", false));
        subscriptions.addLlm(feedId);
        break;
      case "subscribe-all":
        this.#say(socketFrames.subscribed(feedId, undefined, "all", isTopicFeed));
        subscriptions.addRaw(feedId, start);
        subscriptions.addLlm(feedId);
        break;
    }
  }

  unsubscribe(feedId: string, topic: string | undefined): undefined {
    if (topic === undefined) this.#subscriptions.removeFeed(feedId);
    else this.#subscriptions.removeTopic(feedId, topic);
    this.#say(socketFrames.unsubscribed(feedId, topic));
    this.releaseIdleLogs();
  }

  /** Not while a subscription is being made: it needs what it holds. */
  releaseIdleLogs(): void {
    if (this.#isSubscribing) return;
    if (this.#holdsTopics && this.#subscriptions.count === 0) {
      this.#holdsTopics = false;
      this.#c.release("topics");
    }
    if (this.#holdsAnalyses && this.#subscriptions.analysesCount === 0) {
      this.#holdsAnalyses = false;
      this.#c.release("analyses");
    }
  }

  /** The socket is gone. */
  close(): void {
    for (const feedId of this.#subscriptions.feedIds) this.#subscriptions.removeFeed(feedId);
    this.#isSubscribing = false;
    this.releaseIdleLogs();
  }

  #say(text: string): undefined {
    this.#connection.sendText(text);
  }

  #fail(type: ErrorType, error: string, echo: Echo): undefined {
    this.#connection.sendText(socketFrames.error(type, error, echo));
  }
}

function isSubscribe(message: Extract<SocketMessage, { kind: "message" }>): message is Subscribe {
  return message.type.startsWith("subscribe-");
}

/** Everything but raw data alone comes with automatic answers. */
function wantsAnalyses(message: Subscribe): boolean {
  return message.type !== "subscribe-feed";
}

function wantsData(message: SocketRequest<"subscribe-topic">): boolean {
  return message.payload.include?.includes("data") ?? false;
}

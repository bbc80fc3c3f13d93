/**
 * One open `/ws` socket: the state machine from anonymous to authenticated, and every message of the contract. Messages are processed one after
 * the other, so replies keep the order of requests. Tests: feeds-table.int.test.ts, feeds-fuzz.int.test.ts.
 */
import { SOCKET_CLOSE, SOCKET_ERRORS, type SocketClose } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { DataStart, SocketSubscriptions } from "./subscriptions.ts";
import type { WsConnection } from "../../adapters/ws-connection.ts";
import {
  maySee,
  mayDo,
  owns,
  type RegisteredAccess,
  type SocketIdentity,
  type SocketOperation,
  type SocketState,
} from "../../domain/socket-access.ts";
import { type Echo, parseSocketMessage, type SocketMessage, topicText } from "../../domain/socket-message.ts";
import type { Session } from "../../surface.ts";
import { type ErrorType, socketFrames } from "./frames.ts";
import type { LlmPort } from "./llm-port.ts";
import { type AnswerStyle, GENERAL_QUESTION, QUESTION_ERRORS, Questions } from "./questions.ts";

/** Data and states of feeds; automatic answers. */
export type FeedLog = "topics" | "analyses";

/** What a socket needs to know of a feed. */
export interface FeedFacts {
  tenantId: string;
  isPublic: boolean;
  enableTopicRouting: boolean;
  bufferTtlMinutes: number;
}

export type Identification =
  | { ok: true; identity: SocketIdentity /** Absent: the slot the socket holds stays its own. */; release?: () => void }
  | { ok: false; error: string; close?: SocketClose };

export interface SocketFacts {
  origin: string | undefined;
  /** Whose slot it holds. */
  tenantId: string | undefined;
}

export interface SocketContext {
  registeredAccess: RegisteredAccess;
  /** Subscriptions of a socket that has no account. */
  anonymousSubscriptions: number;
  pingMs: number;
  llm: LlmPort;
  log: Logger;
  nowMs: () => number;
  feed(feedId: string): FeedFacts | undefined;
  /** Who the credential belongs to, with a slot of its tenant's sockets. */
  identify(credential: { apiKey: string } | { token: string }, socket: SocketFacts): Promise<Identification>;
  /** Makes sure that the log is read. False when the broker cannot be asked. */
  hold(log: FeedLog): Promise<boolean>;
  release(log: FeedLog): void;
  /** Where data begins; undefined when the broker cannot be asked. `null`: at the live end. */
  planStart(feedId: string, wish: StartWish, feed: FeedFacts): Promise<DataStart | null | undefined>;
  closed(session: SocketSession): void;
}

export interface StartWish {
  cursor?: string | undefined;
  since?: number | string | undefined;
}

type Message<T> = Extract<SocketMessage, { kind: "message"; type: T }>;
type Subscribe = Message<"subscribe-feed" | "subscribe-topic" | "subscribe-llm" | "subscribe-all">;

const ERROR_TYPES: Readonly<Record<Extract<SocketMessage, { kind: "invalid" }>["type"], ErrorType>> = {
  authenticate: "auth_error",
  "register-user": "registration-error",
  "subscribe-feed": "subscription-error",
  "subscribe-topic": "subscription-error",
  "subscribe-llm": "subscription-error",
  "subscribe-all": "subscription-error",
  "unsubscribe-feed": "unsubscription-error",
  "unsubscribe-topic": "unsubscription-error",
  "llm-query": "llm-error",
  "llm-query-stream": "llm-error",
  "toggle-auto-analysis": "error",
  "analyze-crypto": "ai-error",
  "analyze-universal-feed": "universal-ai-error",
  resume: "error",
  ping: "error",
};

/** What a message type needs leave for; the rest is open to everyone. */
const OPERATIONS: Readonly<Partial<Record<keyof typeof ERROR_TYPES, SocketOperation>>> = {
  "subscribe-feed": "subscribe-feed",
  "subscribe-topic": "subscribe-topic",
  "subscribe-llm": "subscribe-llm",
  "subscribe-all": "subscribe-all",
  "llm-query": "ask",
  "llm-query-stream": "ask",
  "analyze-crypto": "ask",
  "analyze-universal-feed": "ask",
  "toggle-auto-analysis": "toggle-auto-analysis",
};

/** Wrong credentials on one socket before it is closed: guessing needs a new connection, and those are counted per address. */
const MAX_FAILED_AUTHENTICATIONS = 10;
/** Protocol pings without any sign of life. */
const MAX_MISSED_PINGS = 2;

export class SocketSession implements Session {
  readonly subscriptions: SocketSubscriptions;
  readonly #c: SocketContext;
  readonly #connection: WsConnection;
  readonly #questions: Questions;
  readonly #origin: string | undefined;
  #state: SocketState = { kind: "anonymous" };
  #releaseSlot: (() => void) | undefined;
  #inbox: string[] = [];
  #isBusy = false;
  #holdsTopics = false;
  #holdsAnalyses = false;
  #isSubscribing = false;
  #resumeCursor: string | undefined;
  #failedAuthentications = 0;
  #missedPings = 0;
  #pingAtMs: number;

  constructor(
    context: SocketContext,
    connection: WsConnection,
    subscriptions: SocketSubscriptions,
    opened: { origin: string | undefined; atMs: number },
  ) {
    this.#c = context;
    this.#connection = connection;
    this.subscriptions = subscriptions;
    this.#questions = new Questions(context.llm, connection);
    this.#origin = opened.origin;
    this.#pingAtMs = opened.atMs;
  }

  get identity(): SocketIdentity | undefined {
    return this.#state.kind === "authenticated" ? this.#state.identity : undefined;
  }

  onText(text: string): void {
    this.#inbox.push(text);
    this.#work();
  }

  onBinary(): void {
    this.onText("");
  }

  onFlood(): void {
    this.#close("too_many_messages");
  }

  onInbound(): void {
    this.#missedPings = 0;
  }

  sweep(nowMs: number): void {
    const { identity } = this;
    if (identity && this.#c.nowMs() >= identity.expiresAtMs) {
      return this.revoke(identity.authType === "jwt" ? SOCKET_ERRORS.invalid_token : SOCKET_ERRORS.invalid_key);
    }
    if (nowMs - this.#pingAtMs < this.#c.pingMs) return undefined;
    // A client that takes what we send is alive, though its pong may have to wait behind a backlog.
    if (this.#connection.bufferedBytes > 0 && this.#connection.progressAtMs > this.#pingAtMs) this.#missedPings = 0;
    if (this.#missedPings >= MAX_MISSED_PINGS) return this.#connection.terminate();
    this.#missedPings++;
    this.#pingAtMs = nowMs;
    return this.#connection.sendPing();
  }

  onDrain(): void {
    // The contract announces nothing; the close says why.
  }

  onClosed(): void {
    this.#inbox = [];
    this.#questions.cancelAll();
    for (const feedId of this.subscriptions.feedIds) this.subscriptions.removeFeed(feedId);
    this.#isSubscribing = false;
    this.#releaseIdleLogs();
    this.#releaseSlot?.();
    this.#releaseSlot = undefined;
    this.#c.closed(this);
  }

  /** The credential is no longer good. */
  revoke(error: string): void {
    if (!this.#connection.isOpen) return;
    this.#connection.sendText(socketFrames.error("auth_error", error));
    this.#close("revoked");
  }

  /** A key's scopes were changed. */
  rescope(scopes: readonly string[]): void {
    const { identity } = this;
    if (!identity || identity.authType !== "apikey") return;
    this.#state = { kind: "authenticated", identity: { ...identity, scopes } };
    this.#dropForbidden();
  }

  /** A feed was changed or deleted. */
  feedChanged(feedId: string, feed: FeedFacts | undefined): void {
    if (feed && maySee(this.#state, feed)) return;
    this.#questions.endWhere((about) => about === feedId, SOCKET_ERRORS.feed_not_found);
    if (!this.subscriptions.has(feedId)) return;
    this.subscriptions.removeFeed(feedId);
    this.#connection.sendText(
      feed ? socketFrames.error("subscription-error", SOCKET_ERRORS.feed_not_found, { feedId }) : socketFrames.feedDeleted(feedId),
    );
    this.#releaseIdleLogs();
  }

  #close(why: SocketClose): void {
    this.#inbox = [];
    // Not when the socket is gone at last: nobody takes the answers any more.
    this.#questions.cancelAll();
    this.#connection.close(SOCKET_CLOSE[why]);
  }

  #work(): void {
    while (!this.#isBusy && this.#connection.isOpen) {
      const text = this.#inbox.shift();
      if (text === undefined) return;
      const pending = this.#handle(parseSocketMessage(text));
      if (!pending) continue;
      this.#isBusy = true;
      // What comes meanwhile waits in the kernel instead of here.
      this.#connection.pause();
      void pending
        .catch((error: unknown) => {
          this.#c.log.error({ err: error }, "socket.message_failed");
          this.#close("policy");
        })
        .finally(() => {
          this.#isBusy = false;
          this.#connection.resume();
          this.#work();
        });
    }
  }

  /** @returns a promise when the next message has to wait. */
  #handle(message: SocketMessage): Promise<void> | undefined {
    if (message.kind === "malformed") return this.#say(socketFrames.invalidJson);
    if (message.kind === "unknown") return this.#say(socketFrames.unknownEvent);
    const operation = OPERATIONS[message.type];
    if (operation !== undefined && !mayDo(this.#state, operation, this.#c.registeredAccess)) {
      return this.#fail(operation.startsWith("subscribe-") ? "subscription-error" : "llm-error", SOCKET_ERRORS.forbidden, message.echo);
    }
    if (message.kind === "invalid") return this.#fail(ERROR_TYPES[message.type], SOCKET_ERRORS.invalid_payload, message.echo);
    switch (message.type) {
      case "ping":
        return this.#say(socketFrames.pong);
      case "authenticate":
        return this.#authenticate(message);
      case "register-user":
        return this.#register(message);
      case "resume":
        this.#resumeCursor = message.payload?.cursor;
        this.subscriptions.useCursors();
        return this.#say(socketFrames.resumed);
      case "subscribe-feed":
      case "subscribe-topic":
      case "subscribe-llm":
      case "subscribe-all":
        return this.#subscribe(message);
      case "unsubscribe-feed":
        return this.#unsubscribe(message.payload.feedId, undefined);
      case "unsubscribe-topic":
        return this.#unsubscribe(message.payload.feedId, topicText(message.payload.topic));
      case "llm-query":
      case "llm-query-stream": {
        const { payload, echo } = message;
        const question = payload.question?.trim();
        if (!question) return this.#fail("llm-error", SOCKET_ERRORS.question_missing, echo);
        const topic = payload.topic === undefined ? undefined : topicText(payload.topic);
        return this.#ask({ ...payload, question, topic }, message.type === "llm-query" ? "query" : "stream", echo);
      }
      case "analyze-crypto": {
        const { feedId, customPrompt } = message.payload;
        if (feedId === undefined) return this.#fail("ai-error", SOCKET_ERRORS.invalid_payload, message.echo);
        return this.#ask({ feedId, question: customPrompt?.trim() || GENERAL_QUESTION }, "crypto", message.echo);
      }
      case "analyze-universal-feed": {
        const { feedId, customPrompt } = message.payload;
        return this.#ask({ feedId, question: customPrompt?.trim() || GENERAL_QUESTION }, "universal", message.echo);
      }
      case "toggle-auto-analysis":
        return this.#toggle(message);
    }
  }

  async #authenticate({ payload, echo }: Message<"authenticate">): Promise<void> {
    const { apiKey, token } = payload;
    if (!apiKey && !token) return this.#fail("auth_error", SOCKET_ERRORS.credential_missing, echo);
    const result = await this.#c.identify(apiKey ? { apiKey } : { token: token ?? "" }, {
      origin: this.#origin,
      tenantId: this.identity?.tenantId,
    });
    if (!this.#connection.isOpen) {
      if (result.ok) result.release?.();
      return undefined;
    }
    if (!result.ok) {
      this.#fail("auth_error", result.error, echo);
      if (result.close) return this.#close(result.close);
      if (result.error !== SOCKET_ERRORS.unavailable && ++this.#failedAuthentications >= MAX_FAILED_AUTHENTICATIONS) this.#close("policy");
      return undefined;
    }
    if (result.release) {
      this.#releaseSlot?.();
      this.#releaseSlot = result.release;
    }
    const before = this.identity;
    this.#state = { kind: "authenticated", identity: result.identity };
    this.#say(socketFrames.authenticated(result.identity.userId, result.identity.authType));
    // Answers to the former identity's questions are not the new one's.
    if (before && before.userId !== result.identity.userId) this.#questions.endWhere(() => true, SOCKET_ERRORS.forbidden);
    this.#dropForbidden();
    return undefined;
  }

  #register({ payload, echo }: Message<"register-user">): undefined {
    if (this.#state.kind === "authenticated") {
      if (this.#state.identity.userId !== payload.userId) return this.#fail("registration-error", SOCKET_ERRORS.user_mismatch, echo);
    } else this.#state = { kind: "registered", label: payload.userId };
    return this.#say(socketFrames.registered(payload.userId));
  }

  #subscribe(message: Subscribe): Promise<void> | undefined {
    const problem = this.#refusal(message);
    if (problem !== undefined) return this.#fail("subscription-error", problem, message.echo);
    const wish = this.#startWish(message);
    if (this.#holdsAll(message) && !wish) return this.#begin(message, undefined);
    return this.#subscribeLater(message, wish);
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
      this.#releaseIdleLogs();
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
    const problem = mayDo(this.#state, message.type, this.#c.registeredAccess) ? this.#refusal(message) : SOCKET_ERRORS.forbidden;
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

  #refusal(message: Subscribe): string | undefined {
    const { feedId } = message.payload;
    const feed = this.#c.feed(feedId);
    if (!feed || !maySee(this.#state, feed)) return SOCKET_ERRORS.feed_not_found;
    if (message.type === "subscribe-topic" && !feed.enableTopicRouting) return SOCKET_ERRORS.no_topics;
    const limit = this.identity?.limits.feedSubscriptionsPerSocket ?? this.#c.anonymousSubscriptions;
    return this.subscriptions.count + this.#newSubscriptions(message) > limit ? SOCKET_ERRORS.too_many_subscriptions : undefined;
  }

  #newSubscriptions(message: Subscribe): number {
    const { feedId } = message.payload;
    const { subscriptions } = this;
    if (message.type === "subscribe-topic") return subscriptions.hasTopic(feedId, topicText(message.payload.topic)) ? 0 : 1;
    const raw = message.type !== "subscribe-llm" && !subscriptions.hasRaw(feedId) ? 1 : 0;
    const llm = message.type !== "subscribe-feed" && !subscriptions.hasLlm(feedId) ? 1 : 0;
    return raw + llm;
  }

  /** Only for data that does not flow yet: a second copy of what was already sent would be no resume. */
  #startWish(message: Subscribe): StartWish | undefined {
    const { feedId } = message.payload;
    if (message.type === "subscribe-llm") return undefined;
    if (message.type === "subscribe-topic") {
      if (!wantsData(message) || this.subscriptions.hasTopicData(feedId, topicText(message.payload.topic))) return undefined;
    } else if (this.subscriptions.hasRaw(feedId)) return undefined;
    const { cursor = this.#resumeCursor, since } = message.payload;
    return cursor === undefined && since === undefined ? undefined : { cursor, since };
  }

  #begin(message: Subscribe, start: DataStart | undefined): undefined {
    const { feedId } = message.payload;
    const { subscriptions } = this;
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

  #unsubscribe(feedId: string, topic: string | undefined): undefined {
    if (topic === undefined) this.subscriptions.removeFeed(feedId);
    else this.subscriptions.removeTopic(feedId, topic);
    this.#say(socketFrames.unsubscribed(feedId, topic));
    this.#releaseIdleLogs();
  }

  #ask(
    wanted: {
      feedId: string;
      question: string;
      topic?: string | undefined;
      provider?: string | undefined;
      systemPrompt?: string | undefined;
    },
    style: AnswerStyle,
    echo: Echo,
  ): undefined {
    const { identity } = this;
    const feed = this.#c.feed(wanted.feedId);
    // `identity` is there: asking needs one.
    if (!identity || !feed || !maySee(this.#state, feed)) return this.#fail(QUESTION_ERRORS[style], SOCKET_ERRORS.feed_not_found, echo);
    const { feedId, question, topic, provider, systemPrompt } = wanted;
    const caller = { tenantId: identity.tenantId, userId: identity.userId };
    const stream = style === "stream" || style === "crypto";
    this.#questions.ask({ caller, feedId, question, topic, provider, systemPrompt, stream }, style, echo);
  }

  async #toggle({ payload, echo }: Message<"toggle-auto-analysis">): Promise<void> {
    const { feedId, enabled } = payload;
    const { identity } = this;
    const feed = this.#c.feed(feedId);
    if (!identity || !feed || !maySee(this.#state, feed)) return this.#fail("llm-error", SOCKET_ERRORS.feed_not_found, echo);
    if (!owns(this.#state, feed)) return this.#fail("llm-error", SOCKET_ERRORS.forbidden, echo);
    const caller = { tenantId: identity.tenantId, userId: identity.userId };
    const result = await this.#c.llm.setAutoAnalysis({ caller, feedId, enabled });
    if (!result.ok) return this.#fail("llm-error", result.message, echo);
    return this.#say(socketFrames.autoAnalysisToggled(feedId, enabled));
  }

  /** Subscriptions that the present credential may not hold; each is told. */
  #dropForbidden(): void {
    const may = (operation: SocketOperation): boolean => mayDo(this.#state, operation, this.#c.registeredAccess);
    const { subscriptions } = this;
    const tell = (error: string, echo: Echo): undefined => this.#fail("subscription-error", error, echo);
    if (!may("ask")) this.#questions.endWhere(() => true, SOCKET_ERRORS.forbidden);
    this.#questions.endWhere((feedId) => !this.#isVisible(feedId), SOCKET_ERRORS.feed_not_found);
    for (const feedId of subscriptions.feedIds) {
      if (!this.#isVisible(feedId)) {
        subscriptions.removeFeed(feedId);
        tell(SOCKET_ERRORS.feed_not_found, { feedId });
        continue;
      }
      const isRawLost = subscriptions.hasRaw(feedId) && !may("subscribe-feed");
      const isLlmLost = subscriptions.hasLlm(feedId) && !may("subscribe-llm");
      if (isRawLost) subscriptions.removeRaw(feedId);
      if (isLlmLost) subscriptions.removeLlm(feedId);
      if (isRawLost || isLlmLost) tell(SOCKET_ERRORS.forbidden, { feedId });
      if (may("subscribe-topic")) continue;
      for (const topic of subscriptions.topicsOf(feedId)) {
        subscriptions.removeTopic(feedId, topic);
        tell(SOCKET_ERRORS.forbidden, { feedId, topic });
      }
    }
    this.#releaseIdleLogs();
  }

  /** Not while a subscription is being made: it needs what it holds. */
  #releaseIdleLogs(): void {
    if (this.#isSubscribing) return;
    if (this.#holdsTopics && this.subscriptions.count === 0) {
      this.#holdsTopics = false;
      this.#c.release("topics");
    }
    if (this.#holdsAnalyses && this.subscriptions.analysesCount === 0) {
      this.#holdsAnalyses = false;
      this.#c.release("analyses");
    }
  }

  #isVisible(feedId: string): boolean {
    const feed = this.#c.feed(feedId);
    return feed !== undefined && maySee(this.#state, feed);
  }

  #say(text: string): undefined {
    this.#connection.sendText(text);
  }

  #fail(type: ErrorType, error: string, echo: Echo): undefined {
    this.#connection.sendText(socketFrames.error(type, error, echo));
  }
}

/** Everything but raw data alone comes with automatic answers. */
function wantsAnalyses(message: Subscribe): boolean {
  return message.type !== "subscribe-feed";
}

function wantsData(message: Message<"subscribe-topic">): boolean {
  return message.payload.include?.includes("data") ?? false;
}

/**
 * One open `/ws` socket: the state machine from anonymous to authenticated, and every message of the contract. Messages are processed one after
 * the other, so replies keep the order of requests. Tests: feeds-table.int.test.ts, feeds-fuzz.int.test.ts.
 */
import { SOCKET_CLOSE, SOCKET_ERRORS, type SocketClose } from "@headwater/protocol";
import type { WsConnection } from "../../adapters/ws-connection.ts";
import { mayDo, maySee, owns, type SocketIdentity, type SocketOperation, type SocketState } from "../../domain/socket-access.ts";
import { type Echo, parseSocketMessage, type SocketMessage, type SocketRequest, topicText } from "../../domain/socket-message.ts";
import type { Session } from "../../surface.ts";
import { type ErrorType, socketFrames } from "./frames.ts";
import type { KeptSession } from "./kept-session.ts";
import { type AnswerStyle, GENERAL_QUESTION, QUESTION_ERRORS, Questions } from "./questions.ts";
import type { FeedFacts, SocketContext } from "./socket-context.ts";
import { SubscriptionRequests } from "./subscription-requests.ts";
import type { SocketSubscriptions } from "./subscriptions.ts";

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
  readonly #requests: SubscriptionRequests;
  readonly #questions: Questions;
  readonly #origin: string | undefined;
  readonly #released: (session: SocketSession) => void;
  #state: SocketState = { kind: "anonymous" };
  #releaseSlot: (() => void) | undefined;
  #kept: KeptSession | undefined;
  #inbox: string[] = [];
  #isBusy = false;
  #failedAuthentications = 0;
  #missedPings = 0;
  #pingAtMs: number;

  constructor(
    context: SocketContext,
    connection: WsConnection,
    subscriptions: SocketSubscriptions,
    opened: { origin: string | undefined; atMs: number; released: (session: SocketSession) => void },
  ) {
    this.#c = context;
    this.#connection = connection;
    this.subscriptions = subscriptions;
    this.#requests = new SubscriptionRequests(context, connection, subscriptions, () => this.#state);
    this.#questions = new Questions(context.llm, connection);
    this.#origin = opened.origin;
    this.#released = opened.released;
    this.#pingAtMs = opened.atMs;
    subscriptions.watch(() => this.#kept?.changed());
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
    this.#kept?.sweep();
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
    // Before there is nothing left to keep.
    this.#endKept("kept");
    this.#requests.close();
    this.#releaseSlot?.();
    this.#releaseSlot = undefined;
    this.#released(this);
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
    this.#requests.releaseIdleLogs();
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
        return this.#requests.resume(message.payload?.cursor);
      case "subscribe-feed":
      case "subscribe-topic":
      case "subscribe-llm":
      case "subscribe-all":
        return this.#requests.subscribe(message);
      case "unsubscribe-feed":
        return this.#requests.unsubscribe(message.payload.feedId, undefined);
      case "unsubscribe-topic":
        return this.#requests.unsubscribe(message.payload.feedId, topicText(message.payload.topic));
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

  async #authenticate({ payload, echo }: SocketRequest<"authenticate">): Promise<void> {
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
    const { identity } = result;
    this.#state = { kind: "authenticated", identity };
    const welcome = (session?: { sessionId: string; restored: number }): undefined => {
      this.#say(socketFrames.authenticated(identity.userId, identity.authType, session));
      // Answers to the former identity's questions are not the new one's.
      if (before && before.userId !== identity.userId) this.#questions.endWhere(() => true, SOCKET_ERRORS.forbidden);
      this.#dropForbidden();
    };
    const { sessionId } = payload;
    if (sessionId !== undefined) return this.#keep(identity, sessionId, (restored) => welcome({ sessionId, restored }));
    // What is listened to from now on is another account's.
    if (this.#kept && this.#kept.key !== this.#c.sessions.keyOf(identity, this.#kept.sessionId)) this.#endKept("kept");
    return welcome();
  }

  /** Subscriptions are kept under this name from now on; what the account left there less than a minute ago comes back. */
  async #keep(identity: SocketIdentity, sessionId: string, welcome: (restored: number) => void): Promise<void> {
    const { sessions } = this.#c;
    if (this.#kept?.key === sessions.keyOf(identity, sessionId)) return welcome(0);
    // Another name of the same account is the same session under it; another account leaves its own behind.
    const isRenamed = this.#kept !== undefined && this.#kept.key === sessions.keyOf(identity, this.#kept.sessionId);
    this.#endKept(isRenamed ? "forgotten" : "kept");
    const kept = sessions.open(identity, sessionId, () => this.subscriptions.listened);
    this.#kept = kept;
    const found = await kept.claim();
    if (!this.#connection.isOpen) return undefined;
    if (!found) {
      welcome(0);
      return kept.changed();
    }
    await this.#requests.restore(found, welcome);
    return kept.restored();
  }

  #endKept(how: "kept" | "forgotten"): void {
    this.#kept?.end(how);
    this.#kept = undefined;
  }

  #register({ payload, echo }: SocketRequest<"register-user">): undefined {
    if (this.#state.kind === "authenticated") {
      if (this.#state.identity.userId !== payload.userId) return this.#fail("registration-error", SOCKET_ERRORS.user_mismatch, echo);
    } else this.#state = { kind: "registered", label: payload.userId };
    return this.#say(socketFrames.registered(payload.userId));
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

  async #toggle({ payload, echo }: SocketRequest<"toggle-auto-analysis">): Promise<void> {
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
    this.#requests.releaseIdleLogs();
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

/**
 * The session of one `/ws` socket that named one: takes over what the socket before it listened to, and keeps what this one does, for the next.
 * The newest socket has the session; an older one that is still open loses it for good. Tests: kept-session.test.ts, feeds-sessions.int.test.ts.
 */
import { randomUUID } from "node:crypto";
import { type KeptFeed, SOCKET_SESSION_KEPT_MS, SOCKET_SESSION_REFRESH_MS, type SocketSessionRecord } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { SocketSessionStore } from "../../adapters/socket-session-store.ts";
import type { SocketIdentity } from "../../domain/socket-access.ts";

/** What a socket listens to. */
export type Listened = Pick<SocketSessionRecord, "cursors" | "feeds">;

export interface KeptSessionsOptions {
  store: SocketSessionStore;
  clock: Clock;
  log: Logger;
}

/** A burst of subscriptions is one write; a long list is written less often. */
const DEBOUNCE_MS = 100;
const DEBOUNCE_MS_PER_SUBSCRIPTION = 2;
/** Others that write at the same moment. */
const MAX_TRIES = 5;
/** A stopping edge waits this long for last writes. */
const STOP_WITHIN_MS = 2_000;

/** Those of one edge. */
export class KeptSessions {
  readonly #o: KeptSessionsOptions;
  readonly #writes = new Set<Promise<void>>();

  constructor(options: KeptSessionsOptions) {
    this.#o = options;
  }

  open(identity: SocketIdentity, sessionId: string, listened: () => Listened): KeptSession {
    return new KeptSession(this.#o, { key: this.keyOf(identity, sessionId), sessionId, listened }, (write) => this.#track(write));
  }

  keyOf(identity: SocketIdentity, sessionId: string): string {
    return this.#o.store.keyOf(identity, sessionId);
  }

  /** Last writes of sockets that are closed. */
  async stop(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, STOP_WITHIN_MS);
    await Promise.race([Promise.all(this.#writes), late.promise]);
    clearTimeout(timer);
  }

  #track(write: Promise<void>): void {
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }
}

type Phase = "claiming" | "open" | "ended" | /** A newer socket has it. */ "lost";

export class KeptSession {
  readonly key: string;
  readonly #o: KeptSessionsOptions;
  readonly #sessionId: string;
  readonly #listened: () => Listened;
  readonly #track: (write: Promise<void>) => void;
  readonly #by = randomUUID();
  #phase: Phase = "claiming";
  #since: number;
  /** Of the message to replace; undefined = look first. */
  #seq: number | undefined;
  /** What was found and is not subscribed yet. */
  #restoring: Listened | undefined;
  #final: Listened | undefined;
  #endedAt: number | undefined;
  #isDirty = false;
  #isWriting = false;
  #soon: NodeJS.Timeout | undefined;
  #writtenAtMs: number;

  constructor(
    options: KeptSessionsOptions,
    session: { key: string; sessionId: string; listened: () => Listened },
    track: (write: Promise<void>) => void,
  ) {
    this.#o = options;
    this.key = session.key;
    this.#sessionId = session.sessionId;
    this.#listened = session.listened;
    this.#track = track;
    this.#since = options.clock.now();
    this.#writtenAtMs = options.clock.monotonicMs();
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /**
   * Makes this socket the one that has the session. Takes two answers of the broker, and seconds at most.
   * @returns what the one before listened to; undefined when there was none in the last minute or nobody can tell. Until `restored` it is
   * what this socket leaves behind.
   */
  async claim(): Promise<Listened | undefined> {
    try {
      for (let tries = 0; tries < MAX_TRIES && this.#phase === "claiming"; tries++) {
        const { seq, record } = await this.#o.store.read(this.key);
        this.#restoring = record && this.#isKept(record) ? { cursors: record.cursors, feeds: record.feeds } : undefined;
        this.#since = Math.max(this.#o.clock.now(), (record?.since ?? 0) + 1);
        this.#seq = await this.#o.store.write(this.key, this.#record(), seq);
        if (this.#seq !== undefined) break;
      }
    } catch (error) {
      this.#seq = undefined;
      this.#o.log.warn({ err: error }, "socket.session_not_claimed");
    }
    if (this.#phase !== "claiming") return undefined;
    this.#phase = "open";
    // Unclaimed, it is when the broker is back.
    if (this.#seq === undefined) this.#isDirty = true;
    return this.#restoring;
  }

  /** What was found is subscribed, as far as it may be. */
  restored(): void {
    this.#restoring = undefined;
    this.changed();
  }

  changed(): void {
    if (this.#phase !== "open" || this.#restoring) return;
    this.#isDirty = true;
    if (this.#soon) return;
    const { feeds } = this.#listened();
    const subscriptions = feeds.reduce((count, feed) => count + 2 + feed.topics.length + feed.dataTopics.length, 0);
    this.#soon = setTimeout(() => this.#write(), DEBOUNCE_MS + subscriptions * DEBOUNCE_MS_PER_SUBSCRIPTION).unref();
  }

  /** Says that the socket is still open, and tries again what failed. */
  sweep(): void {
    if (this.#soon) return;
    const isDue = this.#o.clock.monotonicMs() - this.#writtenAtMs >= SOCKET_SESSION_REFRESH_MS;
    if (isDue) this.#isDirty = true;
    if (this.#isDirty) this.#write();
  }

  /** The socket has another session now, or none: what it listens to at this moment stays for a minute, `forgotten` nothing. */
  end(how: "kept" | "forgotten"): void {
    const phase = this.#phase;
    if (phase === "ended" || phase === "lost") return;
    this.#phase = "ended";
    clearTimeout(this.#soon);
    this.#soon = undefined;
    // What the socket before left was not taken over: it stays as it is.
    if (phase === "claiming") return;
    this.#final = how === "forgotten" ? { cursors: false, feeds: [] } : (this.#restoring ?? this.#listened());
    this.#endedAt = this.#o.clock.now();
    this.#isDirty = true;
    this.#write();
  }

  #isKept({ at }: SocketSessionRecord): boolean {
    return this.#o.clock.now() - at <= SOCKET_SESSION_KEPT_MS;
  }

  #record(): SocketSessionRecord {
    const { cursors, feeds } = this.#final ?? this.#restoring ?? this.#listened();
    return { v: 1, by: this.#by, since: this.#since, at: this.#endedAt ?? this.#o.clock.now(), cursors, feeds };
  }

  /** One write at a time; what changes meanwhile is in the next. */
  #write(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    if (this.#isWriting || this.#phase === "claiming" || this.#phase === "lost") return;
    this.#isWriting = true;
    this.#track(this.#writeDirty());
  }

  async #writeDirty(): Promise<void> {
    try {
      for (let tries = 0; tries < MAX_TRIES && this.#isDirty; tries++) {
        if (this.#seq === undefined && !(await this.#look())) break;
        this.#isDirty = false;
        this.#seq = await this.#o.store.write(this.key, this.#record(), this.#seq ?? 0);
        if (this.#seq === undefined) this.#isDirty = true;
        else this.#writtenAtMs = this.#o.clock.monotonicMs();
      }
    } catch (error) {
      // Nobody knows what is stored now: the next sweep looks.
      this.#seq = undefined;
      this.#isDirty = true;
      this.#o.log.debug({ err: error }, "socket.session_not_kept");
    } finally {
      this.#isWriting = false;
    }
  }

  /** False: a newer socket has the session. Another one's message that is over, older or unreadable is replaced. */
  async #look(): Promise<boolean> {
    const { seq, record } = await this.#o.store.read(this.key);
    if (record && record.by !== this.#by && record.since >= this.#since && this.#isKept(record)) {
      this.#phase = "lost";
      this.#o.log.debug({}, "socket.session_lost");
      return false;
    }
    this.#seq = seq;
    return true;
  }
}

/** Each alone, as the limit counts them: a credential may have lost one half of `subscribe-all`. */
export function requestsOf(feeds: readonly KeptFeed[]): object[] {
  return feeds.flatMap(({ id: feedId, raw, llm, topics, dataTopics }) => [
    ...(raw ? [{ type: "subscribe-feed", payload: { feedId } }] : []),
    ...(llm ? [{ type: "subscribe-llm", payload: { feedId } }] : []),
    ...dataTopics.map((topic) => ({ type: "subscribe-topic", payload: { feedId, topic, include: ["data"] } })),
    ...topics.map((topic) => ({ type: "subscribe-topic", payload: { feedId, topic } })),
  ]);
}

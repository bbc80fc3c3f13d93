/**
 * `/ws` as a surface of the edge: which pages may open it, what its sockets listen to, and what a change in the registry means for them.
 * Tests: feeds-table.int.test.ts, feeds-lifecycle.int.test.ts.
 */
import type { RegistryView } from "@headwater/messaging";
import { FeedRecord, KeyRecord, PLAN_LIMITS, type RegistryRecord, ROUTES, SOCKET_CLOSE } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { CursorSeal } from "../../adapters/cursor-seal.ts";
import type { StreamHub } from "../../adapters/hub.ts";
import type { SurfacePresence } from "../../adapters/presence.ts";
import type { SocketSessionStore } from "../../adapters/socket-session-store.ts";
import type { Resumer } from "../../adapters/resume.ts";
import { planStart } from "../../adapters/resume-plan.ts";
import { SURFACE_CODES } from "../../domain/cursor.ts";
import { checkUpgrade } from "../../domain/handshake.ts";
import { originAllowed } from "../../domain/origin.ts";
import type { RegisteredAccess, SocketIdentity } from "../../domain/socket-access.ts";
import { sinceMsOf } from "../../domain/socket-message.ts";
import type { StreamLog } from "../../ports.ts";
import type { Admission, HandshakeRequest, Surface, SurfaceLimits } from "../../surface.ts";
import { identify, type IdentifyOptions, revokedText, whyRevoked } from "./identify.ts";
import { KeptSessions } from "./kept-session.ts";
import type { LlmPort } from "./llm-port.ts";
import { SocketSession } from "./session.ts";
import type { FeedFacts, FeedLog, SocketContext, StartWish } from "./socket-context.ts";
import { type DataStart, type SubscriptionContext, SocketSubscriptions } from "./subscriptions.ts";
import { createFeedViews, feedCursorScope } from "./view.ts";

export interface FeedsSurfaceOptions extends IdentifyOptions {
  /** TOPICS. */
  hub: StreamHub;
  /** ANALYSES: no position of it is ever asked for, so it has no resumer. */
  analyses: StreamHub;
  resumer: Resumer;
  source: StreamLog;
  seal: CursorSeal;
  registry: Pick<RegistryView, "get" | "onChange">;
  limits: SurfaceLimits;
  registeredAccess: RegisteredAccess;
  /** `CORS_ORIGIN`. */
  origins: readonly string[];
  pingMs: number;
  llm: LlmPort;
  sessionStore: SocketSessionStore;
  log: Logger;
  clock: Clock;
  /** What the sockets listen to changed. */
  onPresence: () => void;
}

const MINUTE_MS = 60_000;
/** History of a feed that does not say how much it keeps. */
const DEFAULT_TTL_MINUTES = 30;

/** What the edge needs of a feed's record. */
const VisibleFeed = FeedRecord.pick({ tenantId: true, isPublic: true, enableTopicRouting: true, bufferTtlMinutes: true });
/** Anything else never was a feed, and is no subject token either. */
const FEED_ID = /^[A-Za-z0-9_-]{1,64}$/;

export class FeedsSurface implements Surface {
  readonly name = "feeds";
  readonly paths: readonly string[] = ROUTES.filter((route) => route.owner === "edge" && route.path === "/ws").map((route) => route.path);
  readonly subprotocol = undefined;
  readonly envelope = "api";
  readonly limits: SurfaceLimits;
  readonly closes = { slow: SOCKET_CLOSE.slow, draining: SOCKET_CLOSE.shutdown };
  readonly #o: FeedsSurfaceOptions;
  /** One for all sockets. */
  readonly #context: SocketContext;
  readonly #keptSessions: KeptSessions;
  readonly #subscriptionContext: SubscriptionContext;
  readonly #sessions = new Set<SocketSession>();
  readonly #released = (session: SocketSession): void => void this.#sessions.delete(session);
  readonly #listening = new Map<string, number>();
  readonly #stopWatching: () => void;

  constructor(options: FeedsSurfaceOptions) {
    this.#o = options;
    this.limits = options.limits;
    const { hub, analyses, clock, log } = options;
    this.#keptSessions = new KeptSessions({ store: options.sessionStore, clock, log });
    this.#context = {
      registeredAccess: options.registeredAccess,
      anonymousSubscriptions: PLAN_LIMITS.free.feedSubscriptionsPerSocket,
      pingMs: options.pingMs,
      llm: options.llm,
      sessions: this.#keptSessions,
      log,
      nowMs: () => clock.now(),
      feed: (feedId) => this.#feed(feedId),
      identify: (credential, socket) => identify(options, credential, socket),
      hold: (log) => this.#hold(log),
      release: (log) => this.#hub(log).release(),
      planStart: (feedId, wish, feed) => this.#planStart(feedId, wish, feed),
    };
    this.#subscriptionContext = {
      hub,
      analyses,
      resumer: options.resumer,
      views: createFeedViews(options.seal, () => hub.logId),
      listening: (key, change) => this.#count(key, change),
    };
    this.#stopWatching = options.registry.onChange((record) => this.#onRecord(record));
  }

  async stop(): Promise<void> {
    this.#stopWatching();
    await this.#keptSessions.stop();
  }

  presence(): SurfacePresence {
    return { sockets: this.#sessions.size, keys: this.#listening };
  }

  async admit(request: HandshakeRequest): Promise<Admission> {
    const origin = request.header("origin");
    if (!originAllowed({ origin, host: request.host, scheme: request.scheme }, this.#o.origins)) {
      return { ok: false, refusal: { code: "origin_not_allowed", message: "origin not allowed" } };
    }
    const refusal = checkUpgrade({ isUpgrade: request.isUpgrade, version: request.header("sec-websocket-version") });
    if (refusal) return { ok: false, refusal: { ...refusal, message: "upgrade required" } };
    return {
      ok: true,
      abandon: () => undefined,
      open: (connection) => {
        const subscriptions = new SocketSubscriptions(this.#subscriptionContext, connection);
        const session = new SocketSession(this.#context, connection, subscriptions, {
          origin,
          atMs: this.#o.clock.monotonicMs(),
          released: this.#released,
        });
        this.#sessions.add(session);
        return session;
      },
    };
  }

  #feed(feedId: string): FeedFacts | undefined {
    if (!FEED_ID.test(feedId)) return undefined;
    const parsed = VisibleFeed.safeParse(this.#o.registry.get("feed", feedId)?.data);
    return parsed.success ? parsed.data : undefined;
  }

  #hub(log: FeedLog): StreamHub {
    return log === "topics" ? this.#o.hub : this.#o.analyses;
  }

  async #hold(log: FeedLog): Promise<boolean> {
    try {
      await this.#hub(log).acquire();
      return true;
    } catch (error) {
      this.#o.log.warn({ err: error, log }, "socket.broker_unreachable");
      return false;
    }
  }

  async #planStart(feedId: string, wish: StartWish, feed: FeedFacts): Promise<DataStart | null | undefined> {
    const { hub, source, seal, clock, log } = this.#o;
    const context = { hub, source, nowMs: clock.now(), replayMs: (feed.bufferTtlMinutes || DEFAULT_TTL_MINUTES) * MINUTE_MS };
    try {
      // Nobody can tell where the client was: it is told a gap and goes on with what comes.
      const unknown: DataStart = { from: hub.end, notBeforeMs: undefined, hasGap: true };
      if (wish.isLost) return unknown;
      if (wish.cursor !== undefined) {
        const cursor = seal.open(feedCursorScope(feedId), wish.cursor, SURFACE_CODES.feeds);
        if (!cursor) return unknown;
        return startOf(await planStart({ kind: "cursor", text: wish.cursor }, cursor, context));
      }
      const sinceMs = wish.since === undefined ? context.nowMs : sinceMsOf(wish.since);
      if (sinceMs === undefined) return unknown;
      return startOf(await planStart({ kind: "since", ms: sinceMs }, undefined, context));
    } catch (error) {
      log.warn({ err: error, stream: source.stream }, "socket.broker_unreachable");
      return undefined;
    }
  }

  #count(key: string, change: 1 | -1): void {
    const count = (this.#listening.get(key) ?? 0) + change;
    if (count > 0) this.#listening.set(key, count);
    else this.#listening.delete(key);
    this.#o.onPresence();
  }

  /** Config changes are few: looking at every socket costs less than keeping an index of them. */
  #onRecord(record: RegistryRecord): void {
    if (record.aggregate === "feed") {
      const feed = record.data === null ? undefined : this.#feed(record.id);
      // A record nobody can read is no reason to tell that the feed is gone.
      if (record.data !== null && !feed) return this.#o.log.warn({ feedId: record.id }, "socket.feed_record_unreadable");
      for (const session of this.#sessions) session.feedChanged(record.id, feed);
      return undefined;
    }
    if (record.aggregate === "session" && record.data === null) return undefined;
    const key = record.aggregate === "key" ? KeyRecord.safeParse(record.data) : undefined;
    for (const session of this.#sessions) {
      const { identity } = session;
      if (!identity || !concerns(record, identity)) continue;
      const error = record.data === null ? revokedText(identity) : whyRevoked(this.#o.registry, identity);
      if (error !== undefined) session.revoke(error);
      else if (key?.success) session.rescope(key.data.scopes);
    }
  }
}

function startOf(plan: Awaited<ReturnType<typeof planStart>>): DataStart | null {
  return plan.from === undefined ? null : { from: plan.from, notBeforeMs: plan.notBeforeMs, hasGap: plan.hasGap };
}

function concerns({ aggregate, id }: RegistryRecord, identity: SocketIdentity): boolean {
  if (aggregate === "tenant") return id === identity.tenantId;
  return aggregate === (identity.authType === "apikey" ? "key" : "session") && id === identity.credentialId;
}

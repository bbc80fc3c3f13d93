/** One open Signals Feed socket: hello, heartbeats, client messages, gaps, the end. Tests: delivery.int.test.ts, lifecycle.int.test.ts. */
import { type Credential, FEED_CLOSE, type FeedClose, type FeedInclude, SCORING_MODEL_VERSION } from "@headwater/protocol";
import type { CursorSeal } from "../../adapters/cursor-seal.ts";
import type { StreamHub } from "../../adapters/hub.ts";
import type { Resumer } from "../../adapters/resume.ts";
import type { StartPlan } from "../../adapters/resume-plan.ts";
import { Subscriber } from "../../adapters/subscriber.ts";
import type { WsConnection } from "../../adapters/ws-connection.ts";
import { parseClientMessage } from "../../domain/client-message.ts";
import { SURFACE_CODES } from "../../domain/cursor.ts";
import { type FeedFilter, filterToWire } from "../../domain/filter.ts";
import { filterFromMessage } from "../../domain/filter-input.ts";
import type { FeedOptions } from "../../domain/handshake.ts";
import { type LifecycleLimits, lifecycleDue, type LifecycleState } from "../../domain/lifecycle.ts";
import type { StreamPosition } from "../../domain/position.ts";
import type { Session } from "../../surface.ts";
import { feedFrames } from "./frames.ts";
import type { FeedViews } from "./view.ts";

export interface FeedSessionContext {
  hub: StreamHub;
  resumer: Resumer;
  seal: CursorSeal;
  views: FeedViews;
  limits: LifecycleLimits & { maxBufferedBytes: number };
  nowMs: () => number;
  monotonicMs: () => number;
  newConnectionId: () => string;
  /** The client may open its next socket before this one is closed. */
  onDurationWarning: (tenantId: string) => void;
}

export class FeedSession implements Session {
  readonly credential: Credential;
  readonly #c: FeedSessionContext;
  readonly #connection: WsConnection;
  readonly #includes: readonly FeedInclude[];
  readonly #dialect: FeedOptions["dialect"];
  readonly #subscriber: Subscriber;
  readonly #life: LifecycleState;
  readonly #expiresAtMs: number;
  #filter: FeedFilter | null;
  readonly #released: (session: FeedSession) => void;
  #hasStrike = false;

  /** @param released called once when the socket is gone. */
  constructor(
    context: FeedSessionContext,
    connection: WsConnection,
    start: { credential: Credential; options: FeedOptions; plan: StartPlan },
    released: (session: FeedSession) => void,
  ) {
    const { credential, options, plan } = start;
    this.#c = context;
    this.#released = released;
    this.#connection = connection;
    this.credential = credential;
    this.#includes = options.includes;
    this.#dialect = options.dialect;
    this.#filter = options.filter;
    this.#expiresAtMs = credential.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(credential.expiresAt);
    const now = context.monotonicMs();
    this.#life = {
      openedAtMs: now,
      inboundAtMs: now,
      pingAtMs: now,
      maxDurationMs: credential.limits.feedMaxDurationMs,
      durationWarned: false,
    };
    this.#subscriber = new Subscriber({
      routingKey: credential.tenantId,
      view: context.views.get(options),
      outlet: connection,
      position: plan.from ?? context.hub.end,
      notBeforeMs: plan.notBeforeMs,
      lineage: { count: plan.count, cursorAt: (position, count) => this.#cursorAt(position, count) },
      hooks: {
        onGap: (from, to) => this.#tellGap(this.#cursorAt(from, this.#subscriber.lineage.count), to),
        onLive: () => connection.sendText(feedFrames.live(this.#cursor())),
      },
    });
    this.#begin(options, plan);
  }

  onText(text: string): void {
    const message = parseClientMessage(text);
    switch (message.type) {
      case "ping":
        return this.#connection.sendText(feedFrames.pong(message.timestamp));
      case "pong":
        return undefined;
      case "subscribe":
        return this.#subscribe(message.id, message.filter);
      case "publish":
        return this.#refuse(message.id, "write_not_allowed", "Writing to the feed is not offered to this key");
      case "ack":
        return this.#refuse(message.id, "invalid_request", "There is no durable subscription to acknowledge");
      case "unknown":
        return this.#refuse(message.id, "invalid_request", `Unknown message type ${JSON.stringify(message.name)}`);
      case "malformed":
        return this.#strike("invalid_json", "Messages must be JSON objects", "policy_violation");
    }
  }

  onBinary(): void {
    this.#strike("invalid_request", "Binary messages are not supported", "unsupported_data");
  }

  onFlood(): void {
    this.#strike("rate_limit_exceeded", "Too many messages", "policy_violation");
  }

  onInbound(nowMs: number): void {
    this.#life.inboundAtMs = nowMs;
  }

  sweep(nowMs: number): void {
    if (this.#c.nowMs() >= this.#expiresAtMs) return this.close("access_revoked");
    for (const due of lifecycleDue(this.#life, nowMs, this.#c.limits)) {
      if (due === "idle") this.close("idle_timeout");
      else if (due === "duration_end") this.close("duration_limit");
      else if (due === "heartbeat") {
        this.#life.pingAtMs = nowMs;
        this.#connection.sendText(feedFrames.ping(this.#c.nowMs()));
      } else {
        this.#life.durationWarned = true;
        const closesInMs = Math.max(0, Math.round(this.#life.openedAtMs + this.#life.maxDurationMs - nowMs));
        this.#c.onDurationWarning(this.credential.tenantId);
        this.#connection.sendText(feedFrames.durationLimit(this.#life.maxDurationMs, closesInMs, this.#cursor()));
      }
    }
  }

  onDrain(closesInMs: number): void {
    this.#connection.sendText(feedFrames.closing(closesInMs, this.#cursor()));
  }

  onClosed(): void {
    this.#c.hub.detach(this.#subscriber);
    this.#c.resumer.remove(this.#subscriber);
    this.#released(this);
  }

  close(why: FeedClose): void {
    this.#c.hub.flush();
    this.#connection.close(FEED_CLOSE[why]);
  }

  #begin(options: FeedOptions, plan: StartPlan): void {
    const { hub, resumer, limits } = this.#c;
    hub.flush();
    const cursor = this.#cursor();
    this.#connection.sendText(
      feedFrames.hello({
        ts: this.#c.nowMs(),
        connectionId: this.#c.newConnectionId(),
        tenantId: this.credential.tenantSlug,
        plan: this.credential.plan,
        capabilities: ["read", "filter", "resume"],
        heartbeatIntervalMs: limits.heartbeatMs,
        idleTimeoutMs: limits.idleMs,
        maxDurationMs: this.#life.maxDurationMs,
        maxBufferedBytes: limits.maxBufferedBytes,
        scoringVersion: SCORING_MODEL_VERSION,
        cursor,
        filter: filterToWire(this.#filter),
        resumed: plan.from !== undefined,
      }),
    );
    if (plan.from === undefined) return hub.attach(this.#subscriber);
    if (plan.hasGap) this.#tellGap(options.resume.kind === "cursor" ? options.resume.text : undefined, plan.from);
    resumer.start(this.#subscriber);
  }

  #subscribe(id: string | undefined, input: unknown): void {
    const result = filterFromMessage(input, this.#dialect);
    if (!result.ok) return this.#refuse(id, "invalid_filter", result.problem);
    this.#filter = result.filter;
    // Events before the answer were chosen by the old filter, events after it by the new one.
    this.#c.hub.setView(this.#subscriber, this.#c.views.get({ filter: result.filter, includes: this.#includes, dialect: this.#dialect }));
    return this.#connection.sendText(feedFrames.subscribed(id, filterToWire(result.filter)));
  }

  #refuse(id: string | undefined, code: Parameters<typeof feedFrames.error>[1], message: string): void {
    this.#connection.sendText(feedFrames.error(id, code, message));
  }

  /** The first offence is told, the second one ends the connection. */
  #strike(code: Parameters<typeof feedFrames.error>[1], message: string, close: FeedClose): void {
    if (this.#hasStrike) return this.close(close);
    this.#hasStrike = true;
    return this.#refuse(undefined, code, message);
  }

  #tellGap(fromCursor: string | undefined, to: StreamPosition): void {
    this.#connection.sendText(feedFrames.gap(fromCursor, this.#cursorAt(to, this.#subscriber.lineage.count)));
  }

  /** Where this socket is now, with everything before it written. */
  #cursor(): string {
    this.#c.hub.flush();
    const subscriber = this.#subscriber;
    return this.#cursorAt(subscriber.state === "live" ? this.#c.hub.end : subscriber.position, subscriber.lineage.count);
  }

  #cursorAt(position: StreamPosition, count: number): string {
    return this.#c.seal.seal(this.credential.tenantId, {
      surface: SURFACE_CODES.signals,
      log: this.#c.hub.logId,
      next: position.next,
      at: position.at,
      count,
    });
  }
}

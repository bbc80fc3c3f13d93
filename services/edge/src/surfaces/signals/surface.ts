/** The Signals Feed as a surface of the edge: who may open it, and the registry of its open sessions for revocation. Tests: handshake.int.test.ts, lifecycle.int.test.ts. */
import type { RegistryView } from "@headwater/messaging";
import type { Logger } from "@headwater/runtime";
import { FEED_CLOSE, KeyRecord, type RegistryRecord, ROUTES, TenantRecord } from "@headwater/protocol";
import type { ConnectionLimiter } from "../../adapters/connection-limiter.ts";
import { planStart, type StartPlan } from "../../adapters/resume-plan.ts";
import { SURFACE_CODES } from "../../domain/cursor.ts";
import {
  authorize,
  checkUpgrade,
  FEED_SUBPROTOCOL,
  isAccessRevoked,
  readCredential,
  readFeedOptions,
  type Refusal,
  type Verification,
} from "../../domain/handshake.ts";
import type { StreamLog } from "../../ports.ts";
import type { Admission, HandshakeRequest, Surface, SurfaceLimits } from "../../surface.ts";
import { FeedSession, type FeedSessionContext } from "./session.ts";
import { FeedViews } from "./view.ts";

export interface SignalsSurfaceOptions extends Omit<FeedSessionContext, "onDurationWarning" | "views" | "limits"> {
  source: StreamLog;
  limits: SurfaceLimits & FeedSessionContext["limits"];
  verify: (key: string) => Promise<Verification>;
  registry: Pick<RegistryView, "get" | "onChange">;
  limiter: ConnectionLimiter;
  /** How long the extra slot of make-before-break lasts. */
  extraSlotMs: number;
  upgradeUrl: string;
  log: Logger;
}

export class SignalsSurface implements Surface {
  readonly name = "signals";
  readonly paths: readonly string[] = ROUTES.filter((route) => route.owner === "edge" && route.path.endsWith("/signals/stream")).map(
    (route) => route.path,
  );
  readonly subprotocol = FEED_SUBPROTOCOL;
  readonly envelope = "signals";
  readonly limits: SurfaceLimits;
  readonly closes = { slow: FEED_CLOSE.slow_consumer, draining: FEED_CLOSE.draining };
  readonly #o: SignalsSurfaceOptions;
  /** One for all sessions. */
  readonly #context: FeedSessionContext;
  readonly #sessions = new Map<string, Set<FeedSession>>();
  readonly #stopWatching: () => void;

  constructor(options: SignalsSurfaceOptions) {
    this.#o = options;
    this.#context = {
      ...options,
      views: new FeedViews(),
      onDurationWarning: (tenantId) => options.limiter.grantExtra(tenantId, options.extraSlotMs),
    };
    this.limits = options.limits;
    this.#stopWatching = options.registry.onChange((record) => this.#closeRevoked(record));
  }

  stop(): void {
    this.#stopWatching();
  }

  /** Open sockets per tenant. */
  socketsByTenant(): Map<string, number> {
    return new Map([...this.#sessions].map(([tenantId, sessions]) => [tenantId, sessions.size]));
  }

  async admit(request: HandshakeRequest): Promise<Admission> {
    const refuse = (refusal: Refusal): Admission => ({ ok: false, refusal });
    const key = readCredential({
      subprotocols: request.subprotocols,
      query: request.query.get("key") ?? undefined,
      header: request.header("x-api-key"),
    });
    const verification: Verification = key === undefined ? { ok: false, code: "missing" } : await this.#verify(key);
    const refusal =
      authorize(verification, { origin: request.header("origin") ?? request.header("referer"), upgradeUrl: this.#o.upgradeUrl }) ??
      checkUpgrade({ isUpgrade: request.isUpgrade, version: request.header("sec-websocket-version") });
    if (refusal || !verification.ok) return refuse(refusal ?? { code: "invalid_api_key" });
    const { credential } = verification;
    const parsed = readFeedOptions(request.query, request.subprotocols, this.#o.nowMs());
    if (!parsed.ok) return refuse(parsed.refusal);
    const { options } = parsed;
    const cursor =
      options.resume.kind === "cursor" ? this.#o.seal.open(credential.tenantId, options.resume.text, SURFACE_CODES.signals) : undefined;
    if (options.resume.kind === "cursor" && !cursor) return refuse({ code: "invalid_cursor" });

    const slot = this.#o.limiter.acquire(credential.tenantId, credential.limits.feedConnections);
    if (!slot.ok) {
      const { limit, current } = slot;
      return refuse({
        code: "too_many_connections",
        fields: { limit, current, message: `The plan allows ${limit} concurrent feed connections` },
        headers: { "Retry-After": "5" },
      });
    }
    const { hub, source } = this.#o;
    let plan: StartPlan;
    let isReading = false;
    const giveBack = (): void => {
      slot.release();
      if (isReading) hub.release();
      isReading = false;
    };
    try {
      await hub.acquire();
      isReading = true;
      plan = await planStart(options.resume, cursor, { hub, source, nowMs: this.#o.nowMs(), replayMs: credential.limits.feedReplayMs });
    } catch (error) {
      // The broker cannot be asked: not the client's fault, and worth another try soon.
      this.#o.log.warn({ err: error, stream: source.stream }, "handshake.broker_unreachable");
      giveBack();
      return refuse({ code: "overloaded", message: "The feed is not reachable now", headers: { "Retry-After": "2" } });
    }
    if (plan.hasGap && options.onGap === "fail") {
      giveBack();
      return refuse({ code: "cursor_expired" });
    }
    return {
      ok: true,
      abandon: giveBack,
      open: (connection) => {
        const session = new FeedSession(this.#context, connection, { credential, options, plan }, (closed) => {
          giveBack();
          this.#forget(closed);
        });
        this.#remember(session);
        // Revoked between the check and now: the change has been seen before the session was known.
        if (this.#isRevoked(session)) session.close("access_revoked");
        return session;
      },
    };
  }

  async #verify(key: string): Promise<Verification> {
    const verification = await this.#o.verify(key);
    if (!verification.ok) return verification;
    // A cached answer may be older than what the registry says about the key itself.
    const record = KeyRecord.safeParse(this.#o.registry.get("key", verification.credential.keyId)?.data);
    return record.success && record.data.revokedAt !== null ? { ok: false, code: "invalid" } : verification;
  }

  #closeRevoked(record: RegistryRecord): void {
    if (record.aggregate !== "key" && record.aggregate !== "tenant") return;
    for (const session of this.#candidates(record)) {
      const isGone = record.data === null;
      if (isGone || this.#isRevoked(session)) session.close("access_revoked");
    }
  }

  #candidates(record: RegistryRecord): FeedSession[] {
    if (record.aggregate === "tenant") return [...(this.#sessions.get(record.id) ?? [])];
    return [...this.#sessions.values()].flatMap((sessions) => [...sessions]).filter((session) => session.credential.keyId === record.id);
  }

  #isRevoked(session: FeedSession): boolean {
    const key = KeyRecord.safeParse(this.#o.registry.get("key", session.credential.keyId)?.data);
    const tenant = TenantRecord.safeParse(this.#o.registry.get("tenant", session.credential.tenantId)?.data);
    return isAccessRevoked(key.success ? key.data : undefined, tenant.success ? tenant.data : undefined, this.#o.nowMs());
  }

  #remember(session: FeedSession): void {
    const { tenantId } = session.credential;
    const sessions = this.#sessions.get(tenantId) ?? new Set();
    this.#sessions.set(tenantId, sessions.add(session));
  }

  #forget(session: FeedSession): void {
    const { tenantId } = session.credential;
    const sessions = this.#sessions.get(tenantId);
    sessions?.delete(session);
    if (sessions?.size === 0) this.#sessions.delete(tenantId);
  }
}

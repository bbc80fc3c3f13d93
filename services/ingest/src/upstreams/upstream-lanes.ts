/**
 * Which upstreams this instance connects: those of the lanes it owns (leases of family `upstreams`) that are wanted. One connection per feed
 * in the cluster: an owner that cannot renew its lease closes everything before anybody else may take it. Tests: upstream-lanes.int.test.ts.
 */
import { FEED_STATUSES, feedKeys, type FeedRecord, type FeedStatus, type FeedState, laneOf, parseFeedKey } from "@headwater/protocol";
import type { LaneLease, Leases } from "@headwater/lanes";
import { notOwner, type PresenceView } from "@headwater/messaging";
import type { Clock, Logger } from "@headwater/runtime";
import { isWanted } from "../domain/upstream-policy.ts";
import type { FeedDirectory } from "./feed-directory.ts";
import { FeedLedger, type FeedLog } from "./feed-log.ts";
import { UpstreamFeed, type UpstreamFeedDeps } from "./upstream-feed.ts";

export interface UpstreamLanesDeps {
  directory: FeedDirectory;
  presence: Pick<PresenceView, "count" | "onChange" | "ready">;
  feedLog: FeedLog;
  feed: UpstreamFeedDeps;
  idleTimeoutMs: number;
  clock: Clock;
  log: Logger;
  /** Answers requests to a lane while it is owned. @returns stop */
  serve(lane: number): () => void;
}

interface OwnedLane {
  lease: LaneLease;
  feeds: Map<string, UpstreamFeed>;
  ledgers: Map<string, FeedLedger>;
  /** Feeds that were stopped and whose connection has not ended yet. */
  closing: Map<string, Promise<void>>;
  /** The lease is not confirmed: everything is closed until it is again. */
  isFenced: boolean;
  stopServing(): void;
}

const TICK_MS = 200;
const SURFACE = "feeds";

export class UpstreamLanes {
  leases: Leases | undefined;
  readonly #deps: UpstreamLanesDeps;
  readonly #lanes = new Map<number, OwnedLane>();
  readonly #leaving = new Set<Promise<void>>();
  /** When the last listener of a feed left, monotonic ms; forgotten after the idle timeout. */
  readonly #lastListenedAt = new Map<string, number>();
  readonly #stopListening: (() => void)[];
  readonly #timer: NodeJS.Timeout;

  constructor(deps: UpstreamLanesDeps) {
    this.#deps = deps;
    this.#stopListening = [
      deps.directory.onChange((feedId) => this.#reconcile(feedId)),
      deps.presence.onChange((surface, key, count) => this.#heard(surface, key, count)),
    ];
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  // Called by the leases

  acquired(lease: LaneLease): void {
    const { lane } = lease;
    this.#lanes.set(lane, {
      lease,
      feeds: new Map(),
      ledgers: new Map(),
      closing: new Map(),
      isFenced: false,
      stopServing: this.#deps.serve(lane),
    });
    for (const record of this.#deps.directory.inLane(lane)) this.#reconcile(record.id);
    // Who owned the lane before may have died with connections that nobody wants any more: their last state is ours to tell.
    this.#deps.presence.ready.then(
      () => {
        if (this.#lanes.get(lane)?.lease === lease) void this.#tellIdle(lane);
      },
      (error: unknown) => this.#deps.log.warn({ err: error, lane }, "upstreams.presence_unknown"),
    );
  }

  /** Another member is to have the lane: connections end before the lease does. */
  releaseWanted(lane: number): void {
    const leaving = this.#giveUp(lane);
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  lost(lane: number): void {
    const owned = this.#lanes.get(lane);
    this.#lanes.delete(lane);
    owned?.stopServing();
    for (const feed of owned?.feeds.values() ?? []) void feed.stop();
  }

  // Public

  /** Where to append a line of a feed. @throws RpcError `not_owner` */
  ledgerOf(feedId: string): FeedLedger {
    const owned = this.#lanes.get(laneOf(feedId));
    if (!owned?.lease.isValid()) throw notOwner();
    return ledgerIn(owned, feedId);
  }

  lanes(): number[] {
    return [...this.#lanes.keys()].sort((a, b) => a - b);
  }

  feedsByStatus(): Record<FeedStatus, number> {
    // The cast names what the entries are.
    const counts = Object.fromEntries(FEED_STATUSES.map((status) => [status, 0])) as Record<FeedStatus, number>;
    for (const { feeds } of this.#lanes.values()) for (const feed of feeds.values()) counts[feed.status]++;
    return counts;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const stop of this.#stopListening) stop();
    await this.leases?.leave();
    await Promise.all([...this.#lanes.keys()].map((lane) => this.#giveUp(lane)));
    await Promise.all(this.#leaving);
    await this.leases?.stop();
  }

  async #giveUp(lane: number): Promise<void> {
    const owned = this.#lanes.get(lane);
    if (!owned) return;
    this.#lanes.delete(lane);
    owned.stopServing();
    // The next owner says `connecting`; until then readers know that somebody means to.
    await Promise.all([...owned.closing.values(), ...[...owned.feeds.values()].map((feed) => feed.stop({ status: "reconnecting" }))]);
    await this.leases?.release(lane, owned.lease.epoch);
  }

  #heard(surface: string, key: string, count: number): void {
    if (surface !== SURFACE) return;
    const parsed = parseFeedKey(key);
    if (parsed.kind !== "control") return;
    if (count > 0) this.#lastListenedAt.delete(parsed.feedId);
    else this.#lastListenedAt.set(parsed.feedId, this.#deps.clock.monotonicMs());
    this.#reconcile(parsed.feedId);
  }

  #tick(): void {
    const now = this.#deps.clock.monotonicMs();
    for (const [lane, owned] of this.#lanes) this.#watchLease(lane, owned);
    for (const { feeds } of this.#lanes.values()) for (const feed of feeds.values()) feed.tick();
    for (const [feedId, at] of this.#lastListenedAt) {
      if (now - at < this.#deps.idleTimeoutMs) continue;
      this.#lastListenedAt.delete(feedId);
      this.#reconcile(feedId);
    }
  }

  #watchLease(lane: number, owned: OwnedLane): void {
    const isValid = owned.lease.isValid();
    if (isValid === !owned.isFenced) return;
    owned.isFenced = !isValid;
    this.#deps.log.warn({ lane, epoch: owned.lease.epoch, isFenced: owned.isFenced }, "upstreams.lease_unconfirmed");
    if (isValid) for (const record of this.#deps.directory.inLane(lane)) this.#reconcile(record.id);
    else {
      for (const feed of owned.feeds.values()) close(owned, feed);
      owned.feeds.clear();
    }
  }

  #reconcile(feedId: string): void {
    const owned = this.#lanes.get(laneOf(feedId));
    if (!owned || owned.isFenced) return;
    const record = this.#deps.directory.get(feedId);
    const feed = owned.feeds.get(feedId);
    if (record && this.#isWanted(record)) {
      if (feed) feed.update(record);
      else owned.feeds.set(feedId, new UpstreamFeed(record, ledgerIn(owned, feedId), this.#deps.feed, owned.closing.get(feedId)));
      return;
    }
    if (feed) {
      owned.feeds.delete(feedId);
      close(owned, feed, { status: "stopped" });
    }
    // A deleted id never comes back, so its line numbers are not needed again.
    if (!record) owned.ledgers.delete(feedId);
  }

  #isWanted(record: FeedRecord): boolean {
    const listeners = this.#deps.presence.count(SURFACE, feedKeys.control(record.id));
    const interest = { listeners, lastListenedAt: this.#lastListenedAt.get(record.id) };
    return isWanted(record, interest, this.#deps.clock.monotonicMs(), this.#deps.idleTimeoutMs);
  }

  async #tellIdle(lane: number): Promise<void> {
    const owned = this.#lanes.get(lane);
    if (!owned) return;
    const stopped: FeedState = { status: "stopped" };
    const idle = this.#deps.directory.inLane(lane).filter(({ id }) => !owned.feeds.has(id) && !owned.ledgers.has(id));
    await Promise.all(idle.map(({ id }) => this.#deps.feedLog.state(ledgerIn(owned, id), stopped, this.#deps.clock.now())));
  }
}

function close(owned: OwnedLane, feed: UpstreamFeed, last?: FeedState): void {
  const closing = feed.stop(last).finally(() => {
    if (owned.closing.get(feed.id) === closing) owned.closing.delete(feed.id);
  });
  owned.closing.set(feed.id, closing);
}

function ledgerIn(owned: OwnedLane, feedId: string): FeedLedger {
  const known = owned.ledgers.get(feedId);
  if (known) return known;
  const ledger = new FeedLedger(feedId, owned.lease.epoch);
  owned.ledgers.set(feedId, ledger);
  return ledger;
}

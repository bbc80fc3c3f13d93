/**
 * Who is alive and who owns which lane, over the KV bucket `lease`: membership `m.<family>.<id>`, ownership `l.<family>.<lane>`.
 * A lease only makes moves quick; what makes them safe is the expected sequence of every frame. Wall clock is never used.
 * Tests: leases.int.test.ts, ownership.test.ts.
 */
import { type LeaseBucket, type LeaseChange, randomId } from "@headwater/messaging";
import type { Clock, Logger } from "@headwater/runtime";
import { desiredOwners } from "./ownership.ts";

export interface LaneLease {
  readonly lane: number;
  /** Revision of the lease when it was taken; grows with every owner. */
  readonly epoch: number;
  /** False when the last confirmed renewal is too old, or the lease is gone: publish nothing. */
  isValid(): boolean;
  /** False once the lease is gone for good; `isValid` may come back, this never does. */
  isHeld(): boolean;
}

export interface LeaseOptions {
  bucket: LeaseBucket;
  family: string;
  laneCount: number;
  instanceId: string;
  ttlMs: number;
  renewMs: number;
  selfFenceMs: number;
  clock: Clock;
  log: Logger;
  onAcquired(lease: LaneLease): void;
  /** Another member should have the lane: finish, then call `release`. */
  onReleaseWanted(lane: number): void;
  /** Somebody else has the lease, or it expired: stop at once. */
  onLost(lane: number): void;
  /** A newer process runs under our id: this one must end. All its lanes are lost already. */
  onReplaced(): void;
}

export interface Leases {
  start(): Promise<void>;
  members(): string[];
  /** Owner per lane as the bucket says. */
  owners(): (string | undefined)[];
  /** Frees the lease of that epoch, if we still hold it. */
  release(lane: number, epoch: number): Promise<void>;
  /** Leaves: no membership, no new lanes. Lanes still held must be released by the caller before. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}

interface Held {
  lane: number;
  epoch: number;
  revision: number;
  /** Monotonic time at which the last confirmed renewal was sent. */
  confirmedAt: number;
  isHeld: boolean;
  isBusy: boolean;
  releaseAsked: boolean;
}

/** Value of memberships and leases. */
interface OwnerValue {
  id: string;
  boot: string;
  /** Revision of the process' first heartbeat: the greater one is the newer process under this id. 0 in that heartbeat itself. */
  since: number;
}

const TICK_MS = 200;

export function createLeases(options: LeaseOptions): Leases {
  return new LeaseKeeper(options);
}

class LeaseKeeper implements Leases {
  readonly #options: LeaseOptions;
  readonly #boot = randomId();
  /** Last sign of life, monotonic ms. */
  readonly #members = new Map<string, number>();
  readonly #leases = new Map<number, LeaseChange & { seenAt: number }>();
  readonly #held = new Map<number, Held>();
  readonly #taking = new Set<number>();
  readonly #memberPrefix: string;
  readonly #leasePrefix: string;
  #watch: { caughtUp: Promise<void>; stop(): Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #memberAt = Number.NEGATIVE_INFINITY;
  #memberBusy = false;
  #since = 0;
  #isLeaving = false;
  #isStopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#memberPrefix = `m.${options.family}.`;
    this.#leasePrefix = `l.${options.family}.`;
  }

  async start(): Promise<void> {
    this.#watch = this.#options.bucket.watch((change) => this.#seen(change));
    await this.#watch.caughtUp;
    await this.#heartbeat();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  members(): string[] {
    return [...this.#members.keys()].sort();
  }

  owners(): (string | undefined)[] {
    return Array.from({ length: this.#options.laneCount }, (_, lane) => parseOwner(this.#leases.get(lane)?.value)?.id);
  }

  async release(lane: number, epoch: number): Promise<void> {
    const held = this.#held.get(lane);
    // A lane that was lost and taken again meanwhile has another epoch.
    if (held?.epoch !== epoch) return;
    this.#held.delete(lane);
    held.isHeld = false;
    try {
      await this.#options.bucket.remove(this.#leasePrefix + lane, held.revision);
    } catch (error) {
      // It expires by itself.
      this.#options.log.warn({ err: error, lane }, "lanes.release_failed");
    }
  }

  async leave(): Promise<void> {
    // Replaced: the membership is the newer process'.
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    try {
      await this.#options.bucket.remove(this.#memberPrefix + this.#options.instanceId);
    } catch (error) {
      this.#options.log.warn({ err: error }, "lanes.leave_failed");
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#watch?.stop();
  }

  #seen(change: LeaseChange): void {
    if (change.key.startsWith(this.#memberPrefix)) {
      const id = change.key.slice(this.#memberPrefix.length);
      if (id === this.#options.instanceId) this.#checkReplaced(change);
      const isNews = change.value === undefined ? this.#members.delete(id) : !this.#members.has(id);
      if (change.value !== undefined) this.#members.set(id, this.#options.clock.monotonicMs());
      if (isNews) this.#decide();
    } else if (change.key.startsWith(this.#leasePrefix)) {
      const lane = Number(change.key.slice(this.#leasePrefix.length));
      this.#leases.set(lane, { ...change, seenAt: this.#options.clock.monotonicMs() });
      this.#checkReplaced(change);
      const held = this.#held.get(lane);
      if (held && !held.isBusy && change.revision > held.revision) {
        const owner = parseOwner(change.value);
        if (owner?.boot !== this.#boot) this.#lose(held, change.value === undefined ? "expired" : "taken");
      }
      if (change.value === undefined) this.#decide();
    }
  }

  #tick(): void {
    if (this.#isStopped) return;
    const now = this.#options.clock.monotonicMs();
    if (!this.#isLeaving && now - this.#memberAt >= this.#options.renewMs) void this.#heartbeat();
    for (const held of this.#held.values()) {
      if (!held.isBusy && now - held.confirmedAt >= this.#options.renewMs) void this.#renew(held);
    }
    for (const [id, seenAt] of this.#members) if (this.#isStale(seenAt)) this.#members.delete(id);
    this.#decide();
  }

  /** Expiry is normally told by the bucket; its note can be missed when the connection was away for long. */
  #isStale(seenAt: number): boolean {
    return this.#options.clock.monotonicMs() - seenAt > 2 * this.#options.ttlMs;
  }

  /** Two processes with one id would take each other's lanes for ever: the older one gives in. */
  #checkReplaced(change: LeaseChange): void {
    const other = parseOwner(change.value);
    if (!other || other.id !== this.#options.instanceId || other.boot === this.#boot || this.#since === 0 || this.#isLeaving) return;
    if ((other.since || change.revision) < this.#since) return;
    this.#isLeaving = true;
    this.#options.log.error({ instanceId: other.id }, "lanes.replaced");
    for (const held of [...this.#held.values()]) this.#lose(held, "replaced");
    this.#options.onReplaced();
  }

  async #heartbeat(): Promise<void> {
    if (this.#memberBusy) return;
    this.#memberBusy = true;
    const sentAt = this.#options.clock.monotonicMs();
    try {
      const revision = await this.#options.bucket.put(this.#memberPrefix + this.#options.instanceId, this.#value(), this.#options.ttlMs);
      if (this.#since === 0) this.#since = revision;
      this.#memberAt = sentAt;
    } catch (error) {
      this.#options.log.debug({ err: error }, "lanes.heartbeat_failed");
    } finally {
      this.#memberBusy = false;
    }
  }

  async #renew(held: Held): Promise<void> {
    held.isBusy = true;
    const sentAt = this.#options.clock.monotonicMs();
    try {
      const revision = await this.#options.bucket.renew(this.#leasePrefix + held.lane, this.#value(), held.revision, this.#options.ttlMs);
      if (revision !== undefined) {
        held.revision = revision;
        held.confirmedAt = sentAt;
        return;
      }
      // Refused: a renewal that we took for lost may have arrived, then the value is still ours.
      const current = await this.#options.bucket.get(this.#leasePrefix + held.lane);
      if (parseOwner(current?.value)?.boot === this.#boot && current) held.revision = current.revision;
      else this.#lose(held, "refused");
    } catch (error) {
      this.#options.log.debug({ err: error, lane: held.lane }, "lanes.renew_failed");
    } finally {
      held.isBusy = false;
    }
  }

  #decide(): void {
    // Without our own membership the answer would be somebody else's.
    if (this.#isLeaving || this.#isStopped || !this.#members.has(this.#options.instanceId)) return;
    const owners = desiredOwners(this.members(), this.#options.laneCount);
    for (let lane = 0; lane < this.#options.laneCount; lane++) {
      const held = this.#held.get(lane);
      const isOurs = owners[lane] === this.#options.instanceId;
      if (held && !isOurs && !held.releaseAsked) {
        held.releaseAsked = true;
        this.#options.onReleaseWanted(lane);
      } else if (!held && isOurs && !this.#taking.has(lane)) void this.#take(lane);
    }
  }

  async #take(lane: number): Promise<void> {
    const known = this.#leases.get(lane);
    const owner = parseOwner(known?.value);
    // Held by another member: it was told to release, or its lease expires.
    if (owner && known && owner.id !== this.#options.instanceId && !this.#isStale(known.seenAt)) return;
    this.#taking.add(lane);
    const sentAt = this.#options.clock.monotonicMs();
    try {
      const key = this.#leasePrefix + lane;
      // A lease under our own stable id was left by the process we replace: take it over without waiting for its end.
      const epoch =
        owner?.id === this.#options.instanceId && known
          ? await this.#options.bucket.renew(key, this.#value(), known.revision, this.#options.ttlMs)
          : await this.#options.bucket.create(key, this.#value(), this.#options.ttlMs);
      if (epoch === undefined || this.#isStopped) return;
      const held: Held = { lane, epoch, revision: epoch, confirmedAt: sentAt, isHeld: true, isBusy: false, releaseAsked: false };
      this.#held.set(lane, held);
      this.#leases.set(lane, { key, value: this.#value(), revision: epoch, seenAt: sentAt });
      this.#options.log.info({ lane, epoch, family: this.#options.family }, "lanes.acquired");
      this.#options.onAcquired({
        lane,
        epoch,
        isValid: () => held.isHeld && this.#options.clock.monotonicMs() - held.confirmedAt <= this.#options.selfFenceMs,
        isHeld: () => held.isHeld,
      });
    } catch (error) {
      this.#options.log.debug({ err: error, lane }, "lanes.take_failed");
    } finally {
      this.#taking.delete(lane);
    }
  }

  #lose(held: Held, reason: string): void {
    if (!held.isHeld) return;
    held.isHeld = false;
    this.#held.delete(held.lane);
    this.#options.log.warn({ lane: held.lane, epoch: held.epoch, reason }, "lanes.lease_lost");
    this.#options.onLost(held.lane);
  }

  #value(): string {
    return JSON.stringify({ id: this.#options.instanceId, boot: this.#boot, since: this.#since } satisfies OwnerValue);
  }
}

function parseOwner(value: string | undefined): OwnerValue | undefined {
  if (value === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    if (typeof parsed !== "object" || parsed === null || !("id" in parsed) || !("boot" in parsed)) return undefined;
    if (typeof parsed.id !== "string" || typeof parsed.boot !== "string") return undefined;
    return { id: parsed.id, boot: parsed.boot, since: "since" in parsed && typeof parsed.since === "number" ? parsed.since : 0 };
  } catch {
    return undefined; // a foreign value counts as nobody's
  }
}

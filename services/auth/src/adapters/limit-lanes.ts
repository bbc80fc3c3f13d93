/**
 * Owner side of the shared limits: each limit lane has one owner among the auth instances, by lease, which answers `rpc.limits.<lane>.grant|hold`
 * from memory. Nothing is stored: a new owner starts with full buckets and is told within a second what is held. Tests: limit-lanes.int.test.ts.
 */
import { createLeases, type LaneLease } from "@headwater/lanes";
import { type Nats, notOwner, openLeaseBucket, RpcError, serveLaneRequests } from "@headwater/messaging";
import { GrantRequest, HOLD_REPEAT_MS, HoldRequest, LANE_COUNT } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { Counter, Gauge, type Registry } from "prom-client";
import { LimitBuckets } from "../domain/limit-buckets.ts";
import { LimitHolds } from "../domain/limit-holds.ts";

export interface LimitLanesOptions {
  nats: Nats;
  instanceId: string;
  clock: Clock;
  log: Logger;
  metrics: Registry;
  leaseBucket: { replicas: number; maxBytes: number };
  /** How quick a dead owner is noticed; defaults are those of the fold lanes. */
  lease?: { ttlMs: number; renewMs: number; selfFenceMs: number };
}

export interface LimitLanes {
  /** Lanes owned by this instance, ascending. */
  lanes(): number[];
  /** Gives its lanes to the others. */
  stop(): Promise<void>;
}

interface Owned {
  lease: LaneLease;
  stopServing(): void;
  buckets: LimitBuckets;
  holds: LimitHolds;
}

const LEASE = { ttlMs: 5_000, renewMs: 1_500, selfFenceMs: 3_500 };
const FORGET_EVERY_MS = 5_000;
/** Until everybody has repeated once what it holds. */
const LEARN_MS = HOLD_REPEAT_MS * 1.25;

export async function startLimitLanes(options: LimitLanesOptions): Promise<LimitLanes> {
  const { nats, clock, log, metrics } = options;
  const owned = new Map<number, Owned>();
  const answers = new Counter({
    name: "headwater_auth_limit_grants_total",
    help: "Questions for tokens of shared limits, by whether all wanted tokens were there",
    labelNames: ["outcome"],
    registers: [metrics],
  });
  new Gauge({
    name: "headwater_auth_limit_keys",
    help: "Buckets and held slots of shared limits in memory",
    registers: [metrics],
    collect() {
      this.set([...owned.values()].reduce((sum, { buckets, holds }) => sum + buckets.size + holds.size, 0));
    },
  });

  const serve = (lease: LaneLease): Owned => {
    const buckets = new LimitBuckets();
    const holds = new LimitHolds();
    const learnedAt = clock.monotonicMs() + LEARN_MS;
    const grant = (payload: unknown): unknown => {
      const request = GrantRequest.safeParse(payload);
      if (!request.success) throw new RpcError("invalid_request", "not a grant request", 400);
      if (!lease.isValid()) throw notOwner();
      const answer = buckets.grant(request.data, clock.monotonicMs());
      for (const { retryAfterMs } of answer.grants) answers.inc({ outcome: retryAfterMs === 0 ? "full" : "short" });
      return answer;
    };
    const hold = (payload: unknown): unknown => {
      const request = HoldRequest.safeParse(payload);
      if (!request.success) throw new RpcError("invalid_request", "not a hold request", 400);
      if (!lease.isValid()) throw notOwner();
      const now = clock.monotonicMs();
      if (now >= learnedAt) return holds.apply(request.data, now);
      const { instanceId } = request.data;
      const answer = holds.apply({ instanceId, holds: request.data.holds.map((one) => ({ ...one, want: 0 })) }, now);
      if (request.data.holds.some(({ want }) => want > 0)) throw notOwner();
      return answer;
    };
    const serving = serveLaneRequests(nats, "limits", lease.lane, { grant, hold }, log);
    return { lease, buckets, holds, stopServing: () => serving.stop() };
  };
  const drop = (lane: number): LaneLease | undefined => {
    const slot = owned.get(lane);
    owned.delete(lane);
    slot?.stopServing();
    return slot?.lease;
  };

  const bucket = await openLeaseBucket(nats, { ...options.leaseBucket, log });
  const leases = createLeases({
    bucket,
    family: "limits",
    laneCount: LANE_COUNT,
    instanceId: options.instanceId,
    ...(options.lease ?? LEASE),
    clock,
    log,
    onAcquired: (lease) => void owned.set(lease.lane, serve(lease)),
    onReleaseWanted: (lane) => {
      const lease = drop(lane);
      if (lease) void leases.release(lane, lease.epoch);
    },
    onLost: (lane) => void drop(lane),
    // A newer process runs under our id and has the lanes; this one goes on without them.
    onReplaced: () => log.error({ instanceId: options.instanceId }, "limits.replaced"),
  });
  await leases.start();
  const timer = setInterval(() => {
    for (const { holds } of owned.values()) holds.forgetExpired(clock.monotonicMs());
  }, FORGET_EVERY_MS);
  timer.unref();

  return {
    lanes: () => [...owned.keys()].sort((a, b) => a - b),
    async stop() {
      clearInterval(timer);
      await leases.leave();
      await Promise.all(
        [...owned.keys()].map((lane) => {
          const lease = drop(lane);
          return lease && leases.release(lane, lease.epoch);
        }),
      );
      await leases.stop();
      bucket.close();
    },
  };
}

/**
 * Slots that one instance holds (sockets of a tenant, running calls): every new one is asked from the owner of the key's limit lane, and what
 * is held is repeated every second, so that a new owner learns it and a dead instance is forgotten. While the owner is away the last known
 * count of the others decides. Tests: shared-limiter.test.ts, services/auth/src/adapters/limit-lanes.int.test.ts.
 */
import { HOLD_REPEAT_MS, HOLD_TTL_MS, HoldAnswer, laneOf } from "@headwater/protocol";
import type { Nats } from "./connection.ts";
import { callLane } from "./lane-requests.ts";
import type { OwnerAwayLog } from "./owner-away-log.ts";
import type { SharedLimiterOptions } from "./shared-limiter.ts";

type Held = { ok: true; release(): void } | { ok: false; limit: number; current: number };

interface Slots {
  key: string;
  lane: number;
  limit: number;
  held: number;
  /** Held by other instances, as the owner said at `othersAt`. */
  others: number;
  othersAt: number;
  waiting: ((held: Held) => void)[];
}

interface Lane {
  queue: Set<Slots>;
  isAsking: boolean;
  /** Until then the owner is taken for away: nobody waits for it. */
  awayUntil: number;
}

const AWAY_MS = 500;
const MAX_PER_QUESTION = 1_024;

export interface HoldClient {
  hold(key: string, limit: number): Promise<Held>;
  stop(): void;
}

export function createHoldClient(
  nats: Nats,
  options: SharedLimiterOptions & { ownerAway: OwnerAwayLog; ask?: (lane: number, payload: unknown) => Promise<unknown> },
): HoldClient {
  const { clock, ownerAway, instanceId } = options;
  const deadlineMs = options.answerWithinMs ?? 250;
  const ask = options.ask ?? ((lane: number, payload: unknown) => callLane(nats, "limits", lane, "hold", payload, { deadlineMs }));
  const slots = new Map<string, Slots>();
  const lanes = new Map<number, Lane>();
  let isStopped = false;

  const enqueue = (entry: Slots): void => {
    let lane = lanes.get(entry.lane);
    if (!lane) lanes.set(entry.lane, (lane = { queue: new Set(), isAsking: false, awayUntil: 0 }));
    lane.queue.add(entry);
    if (!lane.isAsking && !isStopped) void run(entry.lane, lane);
  };

  /** One question per lane at a time: what the owner knows is what was said last. */
  async function run(index: number, lane: Lane): Promise<void> {
    lane.isAsking = true;
    while (lane.queue.size > 0 && !isStopped) {
      const batch = [...lane.queue].slice(0, MAX_PER_QUESTION);
      for (const entry of batch) lane.queue.delete(entry);
      const holds = batch.map(({ key, limit, held, waiting }) => ({ key, limit, held, want: waiting.length }));
      try {
        const answer = HoldAnswer.parse(await ask(index, { instanceId, holds }));
        for (const [i, entry] of batch.entries()) {
          const told = answer.holds[i];
          if (!told) continue;
          entry.others = told.others;
          entry.othersAt = clock.monotonicMs();
          give(entry, told.granted, holds[i]?.want ?? 0);
        }
      } catch (error) {
        ownerAway(index, error);
        lane.awayUntil = clock.monotonicMs() + AWAY_MS;
        for (const [i, entry] of batch.entries()) give(entry, freeLocally(entry), holds[i]?.want ?? 0);
      }
      for (const entry of batch) if (knownOthers(entry) === 0) forget(entry, lane);
    }
    lane.isAsking = false;
  }

  /** What others hold is remembered while it may be true: it decides while the owner is away. */
  const forget = (entry: Slots, lane: Lane | undefined): void => {
    if (entry.held === 0 && entry.waiting.length === 0 && !lane?.queue.has(entry)) slots.delete(entry.key);
  };
  /** Answers the `asked` oldest waiters: the first `free` get a slot. */
  const give = (entry: Slots, free: number, asked: number): void => {
    for (const [i, answer] of entry.waiting.splice(0, asked).entries()) answer(i < free ? take(entry) : refusal(entry));
  };
  const take = (entry: Slots): Held => {
    entry.held++;
    let isReleased = false;
    return {
      ok: true,
      release() {
        if (isReleased) return;
        isReleased = true;
        entry.held--;
        enqueue(entry);
      },
    };
  };
  const knownOthers = (entry: Slots): number => (clock.monotonicMs() - entry.othersAt < HOLD_TTL_MS ? entry.others : 0);
  const freeLocally = (entry: Slots): number => Math.max(0, entry.limit - entry.held - knownOthers(entry));
  const refusal = (entry: Slots): Held => ({ ok: false, limit: entry.limit, current: entry.held + knownOthers(entry) });

  const repeat = setInterval(() => {
    for (const entry of slots.values()) {
      if (entry.held > 0) enqueue(entry);
      else if (knownOthers(entry) === 0) forget(entry, lanes.get(entry.lane));
    }
  }, HOLD_REPEAT_MS);
  repeat.unref();

  return {
    async hold(key, limit) {
      let entry = slots.get(key);
      if (!entry) {
        entry = { key, lane: laneOf(key), limit, held: 0, others: 0, othersAt: Number.NEGATIVE_INFINITY, waiting: [] };
        slots.set(key, entry);
      }
      entry.limit = limit;
      const lane = lanes.get(entry.lane);
      if (isStopped || (lane && clock.monotonicMs() < lane.awayUntil)) return freeLocally(entry) > 0 ? take(entry) : refusal(entry);
      const current = entry;
      return new Promise((resolve) => {
        current.waiting.push(resolve);
        enqueue(current);
      });
    },
    stop() {
      isStopped = true;
      clearInterval(repeat);
      for (const entry of slots.values()) give(entry, freeLocally(entry), entry.waiting.length);
    },
  };
}

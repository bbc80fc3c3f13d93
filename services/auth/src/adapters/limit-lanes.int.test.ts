/** Shared limits with real NATS: instances share one bucket, a killed owner is replaced, the slots of a killed instance come free. */
import { createSharedLimiter, type Nats, openNats, type SharedLimiter, type SharedLimiterOptions } from "@headwater/messaging";
import { HOLD_REPEAT_MS, HOLD_TTL_MS, laneOf } from "@headwater/protocol";
import { type Clock, systemClock } from "@headwater/runtime";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { Registry } from "prom-client";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type LimitLanes, startLimitLanes } from "./limit-lanes.ts";

const log = quietLogger();
const LEASE = { ttlMs: 1_000, renewMs: 300, selfFenceMs: 700 };
/** For an owner whose clock is put forward: it shall not lose its lanes by that. */
const LONG_LEASE = { ttlMs: 60_000, renewMs: 20_000, selfFenceMs: 40_000 };

/** Stands until it is put forward. */
function standingClock(): Clock & { nowMs: number } {
  const clock = { nowMs: 0, now: () => clock.nowMs, monotonicMs: () => clock.nowMs };
  return clock;
}

let server: TestNats;
beforeAll(async () => {
  server = await startNats();
});
afterAll(() => server.stop());

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function connect(name: string): Promise<Nats> {
  const nats = await openNats({ url: server.url, name, log });
  cleanups.push(() => nats.drain());
  return nats;
}

/** An auth instance; `die` is a kill: nothing is released. */
async function owner(
  instanceId: string,
  options: { clock?: Clock; lease?: typeof LEASE } = {},
): Promise<LimitLanes & { die(): Promise<void> }> {
  const nats = await connect(instanceId);
  const lanes = await startLimitLanes({
    nats, instanceId, clock: systemClock, log, metrics: new Registry(), leaseBucket: { replicas: 1, maxBytes: 16 * 1024 * 1024 }, lease: LEASE,
    ...options,
  }); // biome-ignore format: one call
  let isDead = false;
  cleanups.push(() => (isDead ? undefined : lanes.stop()));
  return {
    ...lanes,
    async die() {
      isDead = true;
      await nats.drain();
    },
  };
}

async function client(instanceId: string, options: Partial<SharedLimiterOptions> = {}): Promise<SharedLimiter & { die(): Promise<void> }> {
  const nats = await connect(instanceId);
  const limiter = createSharedLimiter(nats, { instanceId, clock: systemClock, log, ...options });
  cleanups.push(() => limiter.stop());
  return { ...limiter, die: () => nats.drain() };
}

/**
 * Waits until the owner of the key's lane grants slots to both: it does not before everybody had time to tell what is held. A slot of a fresh
 * key that one has and the other is refused can only have been counted by the owner.
 */
async function ownerAnswers(key: string, a: SharedLimiter, b: SharedLimiter): Promise<void> {
  let n = 0;
  const isRefused = async (holder: SharedLimiter, other: SharedLimiter): Promise<boolean> => {
    while (laneOf(`probe${n}`) !== laneOf(key)) n++;
    const probe = `probe${n++}`;
    const held = await holder.hold(probe, 1);
    const wanted = await other.hold(probe, 1);
    for (const one of [held, wanted]) if (one.ok) one.release();
    return held.ok && !wanted.ok;
  };
  await until("the owner grants slots", async () => (await isRefused(a, b)) && (await isRefused(b, a)));
}

const hasAll = (...owners: LimitLanes[]) => until("every lane has one owner", () => owners.flatMap((one) => one.lanes()).length === 16);

describe("shared limits", () => {
  it("let two instances together take no more than one bucket has", async () => {
    // Two seconds in steps, however long they take: neither a slow answer nor a held up process is what this is about.
    const clock = standingClock();
    const seconds = 2;
    await hasAll(await owner("auth-0", { clock, lease: LONG_LEASE }));
    const clients = [await client("edge-0", { clock, answerWithinMs: 20_000 }), await client("edge-1", { clock, answerWithinMs: 20_000 })];
    const rate = { rate: 40, burst: 20 };
    const largestLease = Math.max(1, Math.min(rate.burst / 10, rate.rate / 4));
    let taken = 0;
    for (; clock.nowMs <= seconds * 1_000; clock.nowMs += 10) {
      await Promise.all(
        clients.map(async (one) => {
          while ((await one.take("http:all:a:203.0.113.9", rate)).ok) taken++;
        }),
      );
    }
    expect(taken).toBeLessThanOrEqual(rate.rate * seconds + rate.burst + largestLease * clients.length);
    // And no less than nine tenths of it: leases waste nothing under load.
    expect(taken).toBeGreaterThanOrEqual(0.9 * (rate.rate * seconds + rate.burst) - largestLease * clients.length);
  });

  it("are decided locally while there is no owner, and shared again when there is one", async () => {
    const clients = [await client("edge-0"), await client("edge-1")];
    const rate = { rate: 0.001, burst: 3 };
    const first = await owner("auth-0");
    await hasAll(first);
    expect(await clients[0]?.take("http:login:a:one", rate)).toEqual({ ok: true });
    await first.die();
    // Nobody answers: each instance has a bucket of its own.
    for (const one of clients) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => one.take("http:login:a:two", rate)));
      expect(answers.filter(({ ok }) => ok)).toHaveLength(3);
    }
    await hasAll(await owner("auth-1"));
    // The owner is asked again within half a second; from then on one bucket is shared.
    let n = 0;
    await until("one bucket again", async () => {
      const key = `http:login:a:${n++}`;
      const answers = await Promise.all([0, 1, 0, 1, 0, 1].map((i) => clients[i]?.take(key, rate)));
      return answers.filter((answer) => answer?.ok).length === 3;
    });
  });

  it("make nobody wait for a broker that hangs", async () => {
    await hasAll(await owner("auth-0"));
    const one = await client("edge-0");
    expect(await one.take("http:login:a:slow", { rate: 1, burst: 1 })).toEqual({ ok: true });
    await server.pause();
    try {
      // One key: all in its lane. Timers of one process run in the order in which they are due, however late: the first answer waits for a
      // shorter one than this.
      const take = () => one.take("http:login:a:other", { rate: 0.001, burst: 5 });
      const late = new Promise((resolve) => setTimeout(() => resolve("late"), 600).unref());
      expect(await Promise.race([take(), late])).toEqual({ ok: true });
      // The others wait for nothing at all: they are there before anything else can happen.
      for (let i = 1; i < 20; i++) {
        const answer = await Promise.race([take(), new Promise((resolve) => setImmediate(resolve, "late"))]);
        expect(answer).toMatchObject({ ok: i < 5 });
      }
    } finally {
      server.resume();
    }
  });

  it("move to a new instance and back without a gap that refuses anybody", async () => {
    const first = await owner("auth-0");
    await hasAll(first);
    const one = await client("edge-0");
    let isOn = true;
    let asked = 0;
    const taking = (async () => {
      for (; isOn; asked++) expect(await one.take(`k${asked}`, { rate: 1, burst: 1 })).toEqual({ ok: true });
    })();
    const second = await owner("auth-1");
    await until("the lanes are shared out", () => first.lanes().length > 0 && second.lanes().length > 0);
    await hasAll(first, second);
    await first.stop();
    await hasAll(second);
    const before = asked;
    await until("the new owner answers", () => asked > before + 100);
    isOn = false;
    await taking;
  });

  it("hold slots over all instances, and free those of a killed one", async () => {
    const clock = standingClock();
    await hasAll(await owner("auth-0", { clock, lease: LONG_LEASE }));
    const patient = { clock, answerWithinMs: 20_000 };
    const [a, b] = [await client("edge-0", patient), await client("edge-1", patient)];
    // By then everybody has told the owner what is held.
    clock.nowMs = HOLD_REPEAT_MS * 2;
    await ownerAnswers("sockets:t1", a, b);
    const first = await a.hold("sockets:t1", 2);
    expect(await a.hold("sockets:t1", 2)).toMatchObject({ ok: true });
    expect(await b.hold("sockets:t1", 2)).toEqual({ ok: false, limit: 2, current: 2 });
    if (first?.ok) first.release();
    let next: Awaited<ReturnType<SharedLimiter["hold"]>> | undefined;
    await until("the freed slot can be had elsewhere", async () => (next = await b.hold("sockets:t1", 2)).ok);
    expect(await b.hold("sockets:t1", 2)).toEqual({ ok: false, limit: 2, current: 2 });

    await a.die();
    clock.nowMs += HOLD_TTL_MS - 1;
    expect(await b.hold("sockets:t1", 2)).toEqual({ ok: false, limit: 2, current: 2 });
    clock.nowMs += 1;
    expect(await b.hold("sockets:t1", 2)).toMatchObject({ ok: true });
    expect(next?.ok).toBe(true);
  });

  it("tell a new owner what is held before it grants", async () => {
    const auth = await owner("auth-0");
    await hasAll(auth);
    // An owner that is slow to answer on a busy machine is no owner that is away.
    const [a, b] = [await client("edge-0", { answerWithinMs: 2_000 }), await client("edge-1", { answerWithinMs: 2_000 })];
    await ownerAnswers("sockets:t2", a, b);
    expect(await a.hold("sockets:t2", 1)).toMatchObject({ ok: true });
    expect(await b.hold("sockets:t2", 1)).toEqual({ ok: false, limit: 1, current: 1 });
    await auth.die();
    await hasAll(await owner("auth-1"));
    // Never both: until the new owner has heard of a's slot, b goes by what it was told last.
    let isAnswering = false;
    const answering = ownerAnswers("sockets:t2", a, b).then(() => (isAnswering = true));
    await until("the new owner grants slots", async () => {
      expect(await b.hold("sockets:t2", 1)).toEqual({ ok: false, limit: 1, current: 1 });
      return isAnswering;
    });
    await answering;
  });
});

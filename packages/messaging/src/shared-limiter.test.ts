import type { GrantRequest, HoldRequest } from "@headwater/protocol";
import { createLogger } from "@headwater/runtime";
import { collectingLogger } from "@headwater/testkit";
import { describe, expect, it, vi } from "vitest";
import type { Nats } from "./connection.ts";
import { createOwnerAwayLog } from "./owner-away-log.ts";
import { createHoldClient } from "./shared-limiter-holds.ts";
import { createTokenClient } from "./shared-limiter-tokens.ts";

const log = createLogger({ service: "test", level: "silent" });
/** Never used: the questions are replaced. */
const nats = {} as Nats;

function tokens(answer: (request: GrantRequest) => Promise<{ granted: number; retryAfterMs: number }[]>) {
  let now = 0;
  const asked: GrantRequest["grants"][] = [];
  const client = createTokenClient(nats, {
    instanceId: "edge-0",
    clock: { now: () => now, monotonicMs: () => now },
    log,
    ownerAway: () => undefined,
    ask: async (_lane, payload) => {
      const request = payload as GrantRequest;
      asked.push(request.grants);
      return { grants: await answer(request) };
    },
  });
  return { client, asked, advance: (ms: number) => void (now += ms) };
}
const gives = async ({ grants }: GrantRequest) => grants.map(({ want }) => ({ granted: want, retryAfterMs: 0 }));
const rate = { rate: 20, burst: 50 };

describe("shared tokens", () => {
  it("ask for one token first, and for more in advance when they go quickly", async () => {
    const w = tokens(gives);
    for (let i = 0; i < 40; i++) {
      expect(await w.client.take("k", rate, 1)).toEqual({ ok: true });
      w.advance(10);
    }
    const wants = w.asked.map(([grant]) => grant?.want);
    expect(wants.slice(0, 4)).toEqual([1, 1, 2, 4]);
    // A tenth of the burst, a quarter second of the rate: never more in one hand.
    expect(Math.max(...wants.map(Number))).toBe(5);
  });

  it("give back advance wishes when they go slowly, and use no lease older than a second", async () => {
    const w = tokens(gives);
    for (let i = 0; i < 12; i++) await w.client.take("k", rate, 1);
    for (let i = 0; i < 5; i++) {
      w.advance(1_001);
      await w.client.take("k", rate, 1);
    }
    expect(w.asked.at(-1)?.[0]?.want).toBe(1);
  });

  it("ask once for everybody who waits, and serve in order", async () => {
    const w = tokens(async ({ grants }) => grants.map(({ want }) => ({ granted: Math.min(3, want), retryAfterMs: 50 })));
    const taken = await Promise.all(Array.from({ length: 5 }, () => w.client.take("k", { rate: 1, burst: 10 }, 1)));
    // The first question left with the first caller.
    expect(w.asked.map(([grant]) => grant?.want)).toEqual([1, 4]);
    expect(taken.map(({ ok }) => ok)).toEqual([true, true, true, true, false]);
    expect(taken.at(-1)).toEqual({ ok: false, retryAfterMs: 50 });
  });

  it("ask nobody while a refusal stands", async () => {
    const w = tokens(async ({ grants }) => grants.map(() => ({ granted: 0, retryAfterMs: 300 })));
    expect(await w.client.take("k", rate, 1)).toEqual({ ok: false, retryAfterMs: 300 });
    w.advance(299);
    expect(await w.client.take("k", rate, 1)).toEqual({ ok: false, retryAfterMs: 1 });
    expect(w.asked).toHaveLength(1);
    w.advance(1);
    await w.client.take("k", rate, 1);
    expect(w.asked).toHaveLength(2);
  });

  it("let nobody wait for more than a full bucket", async () => {
    const w = tokens(gives);
    const taken = await Promise.all(Array.from({ length: 8 }, () => w.client.take("k", { rate: 2, burst: 3 }, 1)));
    expect(taken.filter(({ ok }) => ok)).toHaveLength(3);
    expect(taken.filter((one) => !one.ok && one.retryAfterMs > 0)).toHaveLength(5);
    await expect(w.client.take("k", { rate: 2, burst: 3 }, 4)).rejects.toThrow(RangeError);
  });

  it("are decided by a local bucket of the same size while the owner is away, then by the owner again", async () => {
    let isAway = true;
    const w = tokens(async (request) => {
      if (isAway) throw new Error("no owner answered in time");
      return gives(request);
    });
    const size = { rate: 2, burst: 3 };
    for (const ok of [true, true, true, false]) expect((await w.client.take("k", size, 1)).ok).toBe(ok);
    expect(w.asked).toHaveLength(1);
    w.advance(499);
    expect((await w.client.take("k", size, 1)).ok).toBe(false);
    w.advance(1);
    expect((await w.client.take("k", size, 1)).ok).toBe(true);
    isAway = false;
    w.advance(500);
    await w.client.take("k", size, 1);
    await vi.waitFor(() => expect(w.asked).toHaveLength(3));
    await new Promise(setImmediate);
    for (let i = 0; i < 10; i++) expect(await w.client.take("k", size, 1)).toEqual({ ok: true });
  });

  it("forget the least recently used of too many keys", async () => {
    const w = tokens(async ({ grants }) =>
      grants.map(({ key, want }) => ({ granted: key.startsWith("k") ? want : 0, retryAfterMs: 60_000 })),
    );
    const questionsFor = (key: string): number => w.asked.flat().filter((grant) => grant.key === key).length;
    for (const key of ["older", "newer"]) expect(await w.client.take(key, rate, 1)).toMatchObject({ ok: false });
    w.advance(2_000);
    await w.client.take("newer", rate, 1);
    await Promise.all(Array.from({ length: 19_999 }, (_, i) => w.client.take(`k${i}`, rate, 1)));
    // A refusal that is remembered asks nobody.
    await w.client.take("newer", rate, 1);
    await w.client.take("older", rate, 1);
    expect([questionsFor("newer"), questionsFor("older")]).toEqual([1, 2]);
  });

  it("forget none that somebody waits for, however many there are", async () => {
    const w = tokens(gives);
    const first = w.client.take("first", rate, 1);
    for (let i = 0; i < 20_100; i++) void w.client.take(`k${i}`, rate, 1);
    expect(await first).toEqual({ ok: true });
  });

  it("cost no more when more keys wait than are remembered", async () => {
    const w = tokens(gives);
    const taken: Promise<unknown>[] = [];
    const costOf = (name: string): number => {
      const begin = process.cpuUsage();
      for (let i = 0; i < 20_000; i++) taken.push(w.client.take(`${name}${i}`, rate, 1));
      const { user, system } = process.cpuUsage(begin);
      return user + system;
    };
    const [few, many] = [costOf("a"), costOf("b")];
    expect(many).toBeLessThan(few * 10);
    expect(new Set((await Promise.all(taken)).map((one) => JSON.stringify(one)))).toEqual(new Set(['{"ok":true}']));
  });
});

function holds(answer: (request: HoldRequest) => Promise<{ others: number; granted: number }[]>) {
  let now = 0;
  const asked: HoldRequest["holds"][] = [];
  const client = createHoldClient(nats, {
    instanceId: "edge-0",
    clock: { now: () => now, monotonicMs: () => now },
    log,
    ownerAway: () => undefined,
    ask: async (_lane, payload) => {
      const request = payload as HoldRequest;
      asked.push(request.holds);
      return { holds: await answer(request) };
    },
  });
  return { client, asked, advance: (ms: number) => void (now += ms) };
}
const free = (limit: number, others: number) => async (request: HoldRequest) =>
  request.holds.map(({ held, want }) => ({ others, granted: Math.min(want, Math.max(0, limit - others - held)) }));

describe("shared slots", () => {
  it("are granted by the owner and given back once", async () => {
    const w = holds(free(3, 1));
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => w.client.hold("k", 3)));
    expect([first?.ok, second?.ok, third]).toEqual([true, true, { ok: false, limit: 3, current: 3 }]);
    if (first?.ok) for (const _ of [1, 2]) first.release();
    await vi.waitFor(() => expect(w.asked.at(-1)).toEqual([{ key: "k", limit: 3, held: 1, want: 0 }]));
    expect(await w.client.hold("k", 3)).toMatchObject({ ok: true });
    w.client.stop();
  });

  it("go by the last known count of the others while the owner is away, for as long as that may be true", async () => {
    let isAway = false;
    const w = holds(async (request) => {
      if (isAway) throw new Error("no owner answered in time");
      return free(3, 2)(request);
    });
    expect(await w.client.hold("k", 3)).toMatchObject({ ok: true });
    isAway = true;
    expect(await w.client.hold("k", 3)).toEqual({ ok: false, limit: 3, current: 3 });
    w.advance(5_000);
    expect(await w.client.hold("k", 3)).toMatchObject({ ok: true });
    expect(await w.client.hold("k", 3)).toMatchObject({ ok: true });
    expect(await w.client.hold("k", 3)).toEqual({ ok: false, limit: 3, current: 3 });
    w.client.stop();
  });

  it("answer everybody who waits when they stop", async () => {
    const w = holds(() => new Promise(() => undefined));
    const waiting = [w.client.hold("none", 0), w.client.hold("one", 1), w.client.hold("one", 1)];
    w.client.stop();
    expect((await Promise.all(waiting)).map(({ ok }) => ok)).toEqual([false, true, false]);
  });
});

describe("an owner that is away", () => {
  it("is told once per lane and 10 s, without a stack", async () => {
    let now = 0;
    const clock = { now: () => now, monotonicMs: () => now };
    const { log: collected, lines } = collectingLogger();
    const ownerAway = createOwnerAwayLog({ clock, log: collected });
    const ask = (): Promise<never> => Promise.reject(new Error("no owner answered in time"));
    const holding = createHoldClient(nats, { instanceId: "edge-0", clock, log, ownerAway, ask });
    const taking = createTokenClient(nats, { instanceId: "edge-0", clock, log, ownerAway, ask });
    const asked = async (): Promise<number> => {
      await Promise.all([holding.hold("k", 3), taking.take("k", rate, 1)]);
      return lines().length;
    };
    const counts: number[] = [];
    for (; now < 20_000; now += 1_000) counts.push(await asked());
    expect(counts).toEqual([...Array.from({ length: 10 }, () => 1), ...Array.from({ length: 10 }, () => 2)]);
    now = 19_999;
    await holding.hold("a key of another lane", 3);
    expect(lines()).toHaveLength(3);
    for (const line of lines()) expect(line).toMatchObject({ msg: "limits.owner_away", error: "no owner answered in time" });
    expect(JSON.stringify(lines())).not.toContain(".ts:");
    holding.stop();
    taking.stop();
  });
});

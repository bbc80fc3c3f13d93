import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DueHeap, type Due } from "./due-heap.ts";
import { type Run, Schedule, SCHEDULE_OPTIONS, tickOf } from "./schedule.ts";

const T0 = 1_000_000_000;
const A = { feedId: "a", topic: "x" };
const make = (slots = 8): Schedule => new Schedule({ ...SCHEDULE_OPTIONS, slots });
const NEW = { intervalMs: 10_000, newest: 1, isNew: true };

/** Runs until `end`, each finished after `callMs`; a message arrives before every run. Start times per topic. */
function starts(
  schedule: Schedule,
  from: number,
  end: number,
  callMs = 0,
  outcome: "answered" | "failed" = "answered",
): [string, number][] {
  const log: [string, number][] = [];
  const open: [number, Run][] = [];
  for (let now = from; now <= end; now += 100) {
    for (const [, run] of open.filter(([at]) => at <= now)) {
      schedule.finished(run, outcome, now);
      open.splice(
        open.findIndex(([, other]) => other === run),
        1,
      );
    }
    for (const run of schedule.take(now)) {
      log.push([`${run.feedId}/${run.topic}`, now]);
      open.push([now + callMs, run]);
      schedule.arrived(run, now, now);
    }
  }
  return log;
}
const times = (log: [string, number][]): number[] => log.map(([, at]) => at - T0);

describe("one topic", () => {
  it("is analysed soon after the first listener, then every interval", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    expect(schedule.nextAt()).toBe(T0 + 1_500);
    expect(times(starts(schedule, T0, T0 + 35_000))).toEqual([1_500, 11_500, 21_500, 31_500]);
  });

  it.each([5_000, 10_000, 30_000, 60_000])("keeps an interval of %i ms", (intervalMs) => {
    const schedule = make();
    schedule.listen(A, { ...NEW, intervalMs }, T0);
    expect(times(starts(schedule, T0, T0 + 2 * intervalMs + 1_500))).toEqual([1_500, 1_500 + intervalMs, 1_500 + 2 * intervalMs]);
  });

  it("listened to twice is one loop", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    schedule.listen(A, NEW, T0 + 500);
    expect(starts(schedule, T0, T0 + 9_000)).toHaveLength(1);
  });

  it("without data waits for the first message, then starts at once", () => {
    const schedule = make();
    schedule.listen(A, { ...NEW, newest: -1 }, T0);
    expect(schedule.take(T0 + 1_500)).toEqual([]);
    schedule.arrived(A, 1, T0 + 4_000);
    expect(schedule.nextAt()).toBe(T0 + 4_000);
    expect(schedule.take(T0 + 4_000)).toHaveLength(1);
    expect(schedule.nextAt()).toBe(T0 + 14_000);
    expect(schedule.stats().skipped.no_data).toBe(1);
  });

  it("without anything new is skipped and counted", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    const [run] = schedule.take(T0 + 1_500);
    if (run) schedule.finished(run, "answered", T0 + 2_000);
    expect(schedule.take(T0 + 11_500)).toEqual([]);
    expect(schedule.stats().skipped.unchanged).toBe(1);
    schedule.arrived(A, 2, T0 + 12_000);
    expect(schedule.take(T0 + 21_500)).toHaveLength(1);
  });

  it("never runs twice at once; ticks meanwhile are dropped and counted", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    expect(times(starts(schedule, T0, T0 + 60_000, 25_000))).toEqual([1_500, 31_500]);
    expect(schedule.stats().skipped.running).toBe(4);
  });

  it("after a pause of the process runs once, with the newest tick", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    const runs = schedule.take(T0 + 45_000);
    expect(runs).toMatchObject([{ dueAt: T0 + 41_500 }]);
    expect(schedule.nextAt()).toBe(T0 + 51_500);
    expect(schedule.stats().skipped.late).toBe(4);
  });

  it("stops when nobody listens, and says when a run must be cancelled", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    expect(schedule.unlisten(A)).toBe(false);
    expect(schedule.nextAt()).toBeUndefined();
    schedule.listen(A, NEW, T0);
    const [run] = schedule.take(T0 + 1_500);
    expect(schedule.unlisten(A)).toBe(true);
    expect(schedule.stats()).toMatchObject({ loops: 0, running: 0, waiting: 0 });
    schedule.listen(A, NEW, T0 + 2_000);
    if (run) expect(schedule.finished(run, "failed", T0 + 2_500)).toEqual({ tellFailure: false });
    expect(schedule.stats()).toMatchObject({ loops: 1, running: 0 });
  });

  it("taken over from another instance begins at its own place in the interval, whoever takes it and when", () => {
    const due = [T0, T0 + 3_000, T0 + 77_777.7].map((now) => {
      const schedule = make();
      schedule.listen(A, { ...NEW, isNew: false }, now);
      const at = schedule.nextAt() ?? 0;
      expect(at).toBeGreaterThan(now);
      expect(at).toBeLessThanOrEqual(now + 10_000);
      return at % 10_000;
    });
    expect(new Set(due).size).toBe(1);
    const schedule = make(1_000);
    for (let at = 0; at < 1_000; at++) schedule.listen({ feedId: "f", topic: String(at) }, { ...NEW, isNew: false }, T0);
    const perSecond = Array.from({ length: 10 }, (_, second) => schedule.take(T0 + second * 1_000 + 999).length);
    expect(perSecond.reduce((sum, count) => sum + count, 0)).toBe(1_000);
    expect(Math.max(...perSecond)).toBeLessThan(160);
  });
});

describe("a changed interval", () => {
  it.each([
    ["shorter", 10_000, 5_000, [1_500, 6_500, 11_500]],
    ["longer", 5_000, 30_000, [1_500, 31_500]],
  ])("%s takes effect within one tick", (_, before, after, expected) => {
    const schedule = make();
    schedule.listen(A, { ...NEW, intervalMs: before }, T0);
    const log = starts(schedule, T0, T0 + 2_000);
    schedule.changeInterval("a", after, T0 + 2_000);
    expect(times([...log, ...starts(schedule, T0 + 2_100, T0 + Math.max(...expected) + 1_000)])).toEqual(expected);
  });

  it("shorter than the time since the last tick is due at once", () => {
    const schedule = make();
    schedule.listen(A, { ...NEW, intervalMs: 60_000 }, T0);
    starts(schedule, T0, T0 + 20_000);
    schedule.changeInterval("a", 5_000, T0 + 20_000);
    expect(schedule.nextAt()).toBe(T0 + 20_000);
  });

  it("does not bring the first run forward or push it back", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    schedule.changeInterval("a", 60_000, T0 + 10);
    expect(schedule.nextAt()).toBe(T0 + 1_500);
  });
});

describe("failures", () => {
  const failUntil = (schedule: Schedule, count: number): { at: number; told: boolean }[] => {
    const seen: { at: number; told: boolean }[] = [];
    while (seen.length < count) {
      const now = schedule.nextAt() ?? Number.NaN;
      for (const run of schedule.take(now)) seen.push({ at: now - T0, told: schedule.finished(run, "failed", now).tellFailure });
    }
    return seen;
  };

  it("three in a row are told once and then back off, doubling, up to ten minutes", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    const seen = failUntil(schedule, 11);
    expect(seen.map(({ told }) => told)).toEqual([false, false, true, ...new Array<boolean>(8).fill(false)]);
    const gaps = seen.slice(1).map(({ at }, index) => (at - (seen[index]?.at ?? 0)) / 1_000);
    expect(gaps).toEqual([10, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
  });

  it("end with an answer, and the interval is back", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    failUntil(schedule, 4);
    const now = schedule.nextAt() ?? 0;
    const [run] = schedule.take(now);
    if (run) schedule.finished(run, "answered", now);
    expect(schedule.nextAt()).toBe(now + 10_000);
    schedule.arrived(A, 99, now);
    const [next] = schedule.take(now + 10_000);
    if (next) expect(schedule.finished(next, "failed", now + 10_000).tellFailure).toBe(false);
  });

  it("leave the message to be analysed next time", () => {
    const schedule = make();
    schedule.listen(A, NEW, T0);
    failUntil(schedule, 2);
    expect(schedule.stats().skipped.unchanged).toBe(0);
  });
});

describe("slots", () => {
  it("are never more than allowed, and feeds take turns for them", () => {
    const schedule = make(2);
    for (let at = 0; at < 50; at++) schedule.listen({ feedId: "big", topic: String(at) }, NEW, T0);
    schedule.listen({ feedId: "small", topic: "only" }, NEW, T0);
    const runs = schedule.take(T0 + 1_500);
    expect(runs.map(({ feedId }) => feedId)).toEqual(["big", "small"]);
    expect(schedule.take(T0 + 1_500)).toEqual([]);
    expect(schedule.stats()).toMatchObject({ running: 2, waiting: 49 });
  });

  it("are given to the newest window: a waiting tick is replaced by the next one", () => {
    const schedule = make(1);
    schedule.listen({ feedId: "hog", topic: "1" }, NEW, T0 - 100);
    schedule.listen(A, NEW, T0);
    const [hog] = schedule.take(T0 + 1_500);
    schedule.take(T0 + 11_500);
    expect(schedule.stats().skipped).toMatchObject({ late: 1, running: 1 });
    if (hog) schedule.finished(hog, "answered", T0 + 12_000);
    expect(schedule.take(T0 + 12_000)).toMatchObject([{ feedId: "a", dueAt: T0 + 11_500 }]);
  });
});

it("two instances meet in the same tick, and two ticks of one loop never do", () => {
  expect(tickOf(0, 10_000, T0 + 1_500)).toBe(tickOf(0, 10_000, T0 + 9_999));
  expect(tickOf(4_000, 10_000, T0 + 3_999)).not.toBe(tickOf(4_000, 10_000, T0 + 4_000));
  for (const place of [0, 1_499, 1_500, 1_501, 0xffff_ffff])
    expect(new Set(Array.from({ length: 50 }, (_, at) => tickOf(place, 5_000, T0 + 1_500 + at * 5_000))).size).toBe(50);
});

describe("many topics whose listeners come at the same moment", () => {
  const COUNT = 1_000;
  /** Start times and ticks by topic, all answered at once, with a message before each. */
  function run(count: number, forMs: number, intervalMs = 10_000): Map<string, { at: number; tick: string }[]> {
    const schedule = make(Number.POSITIVE_INFINITY);
    for (let at = 0; at < count; at++) schedule.listen({ feedId: `f${at % 10}`, topic: `T${at}` }, { ...NEW, intervalMs }, T0 + 0.25);
    const seen = new Map<string, { at: number; tick: string }[]>();
    for (let now = schedule.nextAt() ?? Number.NaN; now <= T0 + forMs; now = schedule.nextAt() ?? Number.NaN)
      for (const begun of schedule.take(now)) {
        const key = `${begun.feedId}/${begun.topic}`;
        seen.set(key, [...(seen.get(key) ?? []), { at: now - T0, tick: begun.tick }]);
        schedule.finished(begun, "answered", now);
        schedule.arrived(begun, now, now);
      }
    return seen;
  }

  it.each([5_000, 10_000, 60_000])("all begin soon, then move apart and keep their interval (%i ms)", (intervalMs) => {
    const seen = [...run(COUNT, 12 * intervalMs, intervalMs).values()];
    expect(seen).toHaveLength(COUNT);
    const second = new Map<number, number>();
    for (const starts of seen) {
      expect(starts[0]?.at).toBe(1_500);
      const gaps = starts.slice(1).map(({ at }, i) => at - (starts[i]?.at ?? 0));
      // Never later than the interval, and not so soon that it costs another analysis each time.
      expect(Math.max(...gaps)).toBeLessThanOrEqual(intervalMs);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(intervalMs / 2);
      expect(gaps.slice(5)).toEqual(gaps.slice(5).map(() => intervalMs));
      expect(new Set(starts.map(({ tick }) => tick)).size).toBe(starts.length);
      const tenth = Math.floor((starts[1]?.at ?? 0) / (intervalMs / 20));
      second.set(tenth, (second.get(tenth) ?? 0) + 1);
    }
    // Already the second ones come over half of the interval, the later ones over all of it.
    expect(Math.max(...second.values())).toBeLessThan((1.5 * COUNT) / 10);
    const late = new Map<number, number>();
    for (const starts of seen) {
      const part = Math.floor(((starts.at(-1)?.at ?? 0) % intervalMs) / (intervalMs / 20));
      late.set(part, (late.get(part) ?? 0) + 1);
    }
    expect(late.size).toBe(20);
    expect(Math.max(...late.values())).toBeLessThan((1.5 * COUNT) / 20);
  });

  it("few keep their interval to the millisecond", () => {
    for (const starts of run(50, 60_000).values())
      expect(starts.map(({ at }) => at)).toEqual([1_500, 11_500, 21_500, 31_500, 41_500, 51_500]);
  });

  it("are not all due at once when their interval becomes shorter", () => {
    const schedule = make(Number.POSITIVE_INFINITY);
    for (let at = 0; at < COUNT; at++) schedule.listen({ feedId: "a", topic: `T${at}` }, { ...NEW, intervalMs: 60_000 }, T0);
    expect(schedule.take(T0 + 1_500)).toHaveLength(COUNT);
    schedule.changeInterval("a", 5_000, T0 + 20_000);
    const perSecond = Array.from({ length: 5 }, (_, second) => {
      const runs = schedule.take(T0 + 20_000 + (second + 1) * 1_000);
      return runs.length + schedule.stats().skipped.running;
    });
    expect(perSecond[0]).toBeLessThan(300);
    expect(perSecond[4]).toBe(COUNT);
  });
});

it("holds its promises whatever happens", () => {
  const topic = fc.record({ feedId: fc.constantFrom("a", "b"), topic: fc.constantFrom("x", "y", "z") });
  const step = fc.oneof(
    fc.record({ kind: fc.constant("listen" as const), topic, isNew: fc.boolean(), newest: fc.constantFrom(-1, 1) }),
    fc.record({ kind: fc.constant("unlisten" as const), topic }),
    fc.record({ kind: fc.constant("arrived" as const), topic }),
    fc.record({ kind: fc.constant("interval" as const), topic, intervalMs: fc.constantFrom(5_000, 10_000, 30_000) }),
    fc.record({
      kind: fc.constant("finish" as const),
      at: fc.nat(5),
      outcome: fc.constantFrom("answered" as const, "failed" as const, "not_needed" as const),
    }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(20_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 50), (steps, crowd) => {
      const schedule = new Schedule({ ...SCHEDULE_OPTIONS, slots: 2, crowd });
      const ticks = new Map<string, string>();
      const listened = new Set<string>();
      let running: Run[] = [];
      let now = T0;
      let position = 10;
      const name = (ref: { feedId: string; topic?: string | undefined }): string => `${ref.feedId}/${ref.topic}`;
      for (const action of steps) {
        if (action.kind === "listen") {
          schedule.listen(action.topic, { intervalMs: 5_000, newest: action.newest, isNew: action.isNew }, now);
          listened.add(name(action.topic));
        } else if (action.kind === "unlisten") {
          const wasRunning = running.some((run) => name(run) === name(action.topic));
          expect(schedule.unlisten(action.topic)).toBe(wasRunning);
          listened.delete(name(action.topic));
          ticks.delete(name(action.topic));
          running = running.filter((run) => name(run) !== name(action.topic));
        } else if (action.kind === "arrived") schedule.arrived(action.topic, ++position, now);
        else if (action.kind === "interval") schedule.changeInterval(action.topic.feedId, action.intervalMs, now);
        else if (action.kind === "wait") now += action.ms;
        else {
          const run = running[action.at];
          if (run !== undefined) {
            schedule.finished(run, action.outcome, now);
            running = running.filter((other) => other !== run);
          }
        }
        for (const run of schedule.take(now)) {
          expect(listened).toContain(name(run));
          expect(running.map(name)).not.toContain(name(run));
          expect(run.dueAt).toBeLessThanOrEqual(now);
          const [seconds = "", number = ""] = run.tick.split(":");
          const [lastSeconds, lastNumber] = (ticks.get(name(run)) ?? ":").split(":");
          if (seconds === lastSeconds) expect(Number(number)).toBeGreaterThan(Number(lastNumber));
          ticks.set(name(run), run.tick);
          running.push(run);
        }
        expect(running.length).toBeLessThanOrEqual(2);
        expect(schedule.stats()).toMatchObject({ loops: listened.size, running: running.length });
        const next = schedule.nextAt();
        if (listened.size === 0) expect(next).toBeUndefined();
        else expect(next).toBeGreaterThan(now);
      }
    }),
    { numRuns: 500 },
  );
});

it("DueHeap gives the earliest entry, whatever was moved or dropped", () => {
  const action = fc.tuple(fc.nat(9), fc.option(fc.nat(100), { nil: undefined }));
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const heap = new DueHeap<Due>();
      const entries: Due[] = Array.from({ length: 10 }, () => ({ dueAt: 0, slot: -1 }));
      for (const [at, dueAt] of actions) {
        const entry = entries[at];
        if (entry === undefined) continue;
        if (dueAt === undefined) heap.drop(entry);
        else {
          entry.dueAt = dueAt;
          heap.put(entry);
        }
        const inside = entries.filter(({ slot }) => slot !== -1);
        expect(heap.peek()?.dueAt).toBe(inside.length === 0 ? undefined : Math.min(...inside.map((other) => other.dueAt)));
      }
    }),
  );
});

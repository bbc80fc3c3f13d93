import { quietLogger } from "@headwater/testkit";
import { beforeEach, expect, it, vi } from "vitest";
import { type ResilientProvider, resilient } from "../adapters/resilient-provider.ts";
import type { RunResult } from "../adapters/run-store.ts";
import { FairSlots } from "../domain/fair-slots.ts";
import type { CompletionRequest } from "../domain/provider.ts";
import type { Run } from "../domain/schedule.ts";
import { feedRecord } from "../testing/feed-record.ts";
import { AnalysisRunner } from "./run-analysis.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
const PATIENCE_MS = 30_000;
const runOf = (n: number): Run => ({ feedId: FEED, topic: `T${n}`, dueAt: n, tick: `10:${n}` });

let asked: CompletionRequest[];
let settled: RunResult[];
let provider: ResilientProvider;
let runner: AnalysisRunner;
let slots: FairSlots;

beforeEach(() => {
  vi.useFakeTimers();
  [asked, settled] = [[], []];
  slots = new FairSlots({ size: 8, perTenant: 8 });
  const hanging = {
    id: "openai",
    model: "m",
    complete: (request: CompletionRequest): Promise<never> => {
      asked.push(request);
      return new Promise(() => undefined);
    },
  };
  provider = resilient(hanging, { timeoutMs: 60_000, monotonicMs: () => performance.now(), random: () => 0 });
  runner = new AnalysisRunner({
    feeds: { get: () => feedRecord(FEED) },
    contexts: { window: () => ({ entries: [{ ts: 1, seq: 1, json: "{}" }], oldestSeq: 1, newestSeq: 1 }) },
    memory: { recall: () => [], remember: () => undefined },
    ownership: { epochOf: () => 1 },
    slots,
    usage: { check: () => Promise.reject(new Error("nothing to pay")), add: () => Promise.reject(new Error("nothing to pay")) },
    providers: { select: () => ({ ok: true, id: "openai" }), get: () => provider, ids: ["openai"], isBilled: () => false },
    store: {
      reserve: async () => true,
      settle: async (result) => {
        settled.push(result);
        return true;
      },
      billed: async () => undefined,
    },
    writer: { stamp: async () => 1, write: async () => undefined },
    log: quietLogger(),
    now: () => performance.now(),
    onAsked: () => undefined,
    laneCount: 16,
    settings: { maxTokens: 1, temperature: 0, timeoutMs: PATIENCE_MS },
  });
  return () => vi.useRealTimers();
});

it("a provider that hangs under automatic analyses alone is not asked any more after five of them", async () => {
  const ends = Array.from({ length: 5 }, (_, n) => runner.run(runOf(n), new AbortController().signal, 10_000));
  await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
  expect(settled).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await Promise.all(ends)).toEqual(
    Array.from({ length: 5 }, () => ({ end: "failed", outcome: "failed", error: "openai timed out" })),
  );
  expect(settled.map(({ outcome, durationMs }) => [outcome, durationMs])).toEqual(Array.from({ length: 5 }, () => ["failed", PATIENCE_MS]));
  expect(provider.isPaused()).toBe(true);
  expect(await runner.run(runOf(5), new AbortController().signal, 10_000)).toMatchObject({ error: expect.stringMatching(/paused/) });
  expect(asked).toHaveLength(5);
});

it("what finds no place before the next tick asks nobody, and what finds one waits no longer", async () => {
  const leave = new AbortController();
  const calls = Array.from({ length: 8 }, (_, n) => runner.run(runOf(n), leave.signal, 10_000));
  await vi.advanceTimersByTimeAsync(0);
  const late = runner.run(runOf(8), new AbortController().signal, 10_000);
  await vi.advanceTimersByTimeAsync(9_999);
  expect(slots.waiting()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await late).toEqual({ end: "no_slot", outcome: "not_needed" });
  expect(asked).toHaveLength(8);
  leave.abort(new Error("nobody listens"));
  expect((await Promise.all(calls)).map(({ end }) => end)).toEqual(Array.from({ length: 8 }, () => "cancelled"));
  expect([slots.free(), vi.getTimerCount()]).toEqual([8, 0]);
});

it("listeners that leave while it waits for a place end it at once", async () => {
  const others = Array.from({ length: 8 }, () =>
    slots.acquire({ tenantId: "t", feedId: "f", kind: "auto", signal: new AbortController().signal }),
  );
  const held = await Promise.all(others);
  const leave = new AbortController();
  const waiting = runner.run(runOf(0), leave.signal, 10_000);
  await vi.advanceTimersByTimeAsync(100);
  leave.abort(new Error("nobody listens"));
  expect(await waiting).toEqual({ end: "cancelled", outcome: "not_needed" });
  expect([slots.waiting(), vi.getTimerCount(), asked.length]).toEqual([0, 0, 0]);
  for (const slot of held) slot.release();
});

it("listeners that leave say nothing about the provider", async () => {
  for (let n = 0; n < 6; n++) {
    const leave = new AbortController();
    const end = runner.run(runOf(n), leave.signal, 10_000);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
    leave.abort(new Error("nobody listens"));
    expect(await end).toEqual({ end: "cancelled", outcome: "not_needed" });
  }
  expect(settled.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 6 }, () => "cancelled"));
  expect(provider.isPaused()).toBe(false);
});

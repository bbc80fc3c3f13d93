/** Limiter, throttle, budget, wheel. */
import { describe, expect, it } from "vitest";
import { createProcessLimiter } from "./connection-limiter.ts";
import { HandshakeThrottle } from "./handshake-throttle.ts";
import { QueueBudget, type Queued } from "./queue-budget.ts";
import { SweepWheel } from "./sweep-wheel.ts";

describe("connection limiter", () => {
  it("counts per tenant, releases once, grants one slot more for a while", () => {
    let now = 0;
    const limiter = createProcessLimiter(() => now);
    const first = limiter.acquire("a", 1);
    expect(limiter.acquire("a", 1)).toEqual({ ok: false, limit: 1, current: 1 });
    expect(limiter.acquire("b", 1).ok).toBe(true);
    limiter.grantExtra("a", 100);
    const second = limiter.acquire("a", 1);
    expect(second.ok).toBe(true);
    expect(limiter.acquire("a", 1).ok).toBe(false);
    if (first.ok) {
      first.release();
      first.release();
    }
    now = 100;
    expect(limiter.acquire("a", 1)).toEqual({ ok: false, limit: 1, current: 1 });
    if (second.ok) second.release();
    expect(limiter.acquire("a", 1).ok).toBe(true);
    expect(limiter.acquire("zero", 0)).toEqual({ ok: false, limit: 0, current: 0 });
  });
});

describe("handshake throttle", () => {
  it("makes an address wait until its minute is over", () => {
    let now = 0;
    const throttle = new HandshakeThrottle(2, () => now);
    throttle.failed("1.1.1.1");
    expect(throttle.retryAfterSeconds("1.1.1.1")).toBe(0);
    throttle.failed("1.1.1.1");
    expect(throttle.retryAfterSeconds("1.1.1.1")).toBe(60);
    expect(throttle.retryAfterSeconds("2.2.2.2")).toBe(0);
    now = 60_000;
    expect(throttle.retryAfterSeconds("1.1.1.1")).toBe(0);
    throttle.failed("1.1.1.1");
    expect(throttle.retryAfterSeconds("1.1.1.1")).toBe(0);
  });

  it("stays bounded", () => {
    const throttle = new HandshakeThrottle(1, () => 0);
    for (let i = 0; i <= 10_000; i++) throttle.failed(`a${i}`);
    expect(throttle.retryAfterSeconds("a0")).toBe(0);
    expect(throttle.retryAfterSeconds("a10000")).toBe(60);
  });
});

describe("queue budget", () => {
  it("drops the laggiest until it fits, and never the same one twice", () => {
    const budget = new QueueBudget(100);
    const dropped: string[] = [];
    const socket = (name: string): Queued & { add(bytes: number): void } => {
      let bytes = 0;
      let isOpen = true;
      return {
        get bufferedBytes() {
          return bytes;
        },
        get isOpen() {
          return isOpen;
        },
        add(more) {
          bytes += more;
          budget.changed(this, more);
        },
        dropSlow() {
          dropped.push(name);
          isOpen = false;
          const given = bytes - 5;
          bytes = 5;
          budget.changed(this, -given);
        },
      };
    };
    const [a, b, c] = [socket("a"), socket("b"), socket("c")];
    a.add(30);
    b.add(59);
    expect(budget.isNearlyFull).toBe(false);
    c.add(5);
    expect(budget.isNearlyFull).toBe(true);
    a.add(20);
    expect(dropped).toEqual(["b"]);
    expect(budget.totalBytes).toBe(60);
    c.add(60);
    expect(dropped).toEqual(["b", "c"]);
    a.add(-50);
    expect(budget.totalBytes).toBe(10);
  });
});

it("sweep wheel visits everybody once per round and forgets the removed", () => {
  const wheel = new SweepWheel(1_000_000, () => 7);
  const visits = new Map<number, number>();
  const items = Array.from({ length: 50 }, (_, i) => ({ sweep: () => visits.set(i, (visits.get(i) ?? 0) + 1) }));
  for (const item of items) wheel.add(item);
  const [gone] = items;
  if (gone) wheel.delete(gone);
  for (let i = 0; i < 20; i++) wheel.tick();
  wheel.stop();
  expect(wheel.size).toBe(49);
  expect([...visits.values()].every((count) => count === 1)).toBe(true);
  expect(visits.has(0)).toBe(false);
});

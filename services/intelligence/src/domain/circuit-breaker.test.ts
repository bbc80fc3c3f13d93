import { expect, it } from "vitest";
import { CircuitBreaker } from "./circuit-breaker.ts";

const LIMITS = { failures: 3, pauseMs: 1_000, maxPauseMs: 3_000 };
function opened(): CircuitBreaker {
  const breaker = new CircuitBreaker(LIMITS);
  for (let at = 0; at < 3; at++) breaker.failed(100);
  return breaker;
}

it("opens after failures in a row, and only then", () => {
  const breaker = new CircuitBreaker(LIMITS);
  breaker.failed(0);
  breaker.failed(0);
  breaker.succeeded();
  breaker.failed(0);
  breaker.failed(0);
  expect(breaker.admit(0)).toEqual({ ok: true });
  breaker.failed(0);
  expect(breaker.admit(0)).toEqual({ ok: false, retryAfterMs: 1_000 });
});

it("lets one call through after the pause, and closes when it succeeds", () => {
  const breaker = opened();
  expect(breaker.admit(1_099)).toEqual({ ok: false, retryAfterMs: 1 });
  expect(breaker.admit(1_100)).toEqual({ ok: true });
  expect(breaker.admit(1_100).ok).toBe(false);
  breaker.succeeded();
  expect(breaker.admit(1_100)).toEqual({ ok: true });
  expect(breaker.isOpen()).toBe(false);
});

it("doubles the pause at every failed probe, up to a limit", () => {
  const breaker = opened();
  let now = 1_100;
  for (const pause of [2_000, 3_000, 3_000]) {
    expect(breaker.admit(now).ok).toBe(true);
    breaker.failed(now);
    expect(breaker.admit(now)).toEqual({ ok: false, retryAfterMs: pause });
    now += pause;
  }
});

it("lets another probe go when the first one was abandoned", () => {
  const breaker = opened();
  expect(breaker.admit(1_100).ok).toBe(true);
  breaker.abandoned();
  expect(breaker.admit(1_100).ok).toBe(true);
});

/** Request limits of the API with real auth instances, NATS and PostgreSQL (W33): one account of them for all instances, by client. */
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type AuthFixture, startAuthFixture } from "./testing/auth-fixture.ts";

let auth: AuthFixture;
beforeAll(async () => {
  auth = await startAuthFixture({
    databaseUrl: inject("databaseUrl"),
    instances: 2,
    // An owner that a busy machine keeps from answering in time would let each instance use a bucket of its own.
    answerWithinMs: 20_000,
    env: {
      TRUSTED_PROXIES: "127.0.0.1",
      RATE_LIMIT_LOGIN_PER_SECOND: "1",
      RATE_LIMIT_LOGIN_BURST: "5",
      RATE_LIMIT_PER_SECOND: "1",
      RATE_LIMIT_BURST: "30",
    },
  });
  const lanes = () => auth.services.flatMap((service) => service.status()["lanes"] as number[]);
  await until("every limit lane has an owner", () => lanes().length === 16);
});
afterAll(() => auth.stop());

const from = (address: string) => ({ "X-Forwarded-For": address });
/** Calls of one client, spread over both instances. */
const calls = (n: number, call: (at: number) => ReturnType<AuthFixture["call"]>) =>
  Promise.all(Array.from({ length: n }, (_, i) => call(i % 2)));

it("count logins of one address over all instances, and no other's", async () => {
  const tryLogin = (at: number, address: string) =>
    auth.call("POST", "/api/auth/login", { body: { email: "a@example.com", password: "wrong password" }, headers: from(address), at });
  const passedOf = async (address: string): Promise<{ passed: number; seconds: number }> => {
    const begun = performance.now();
    const answers = await calls(20, (at) => tryLogin(at, address));
    const limited = answers.filter(({ status, body }) => status === 429 && body["error"] === "too_many_requests");
    expect(limited[0]?.body).toEqual({
      success: false,
      message: "Rate limit exceeded. Please try again later.",
      code: "RATE_LIMITED",
      error: "too_many_requests",
    });
    expect(Number(limited[0]?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    return { passed: answers.length - limited.length, seconds: (performance.now() - begun) / 1000 };
  };
  const { passed, seconds } = await passedOf("203.0.113.9");
  expect(passed).toBeGreaterThanOrEqual(5);
  // One account for both instances; one lease may be in the hands of each.
  expect(passed).toBeLessThanOrEqual(5 + seconds + 2);
  expect((await tryLogin(0, "203.0.113.100")).body["error"]).toBeUndefined();
});

it("count an account wherever it comes from", async () => {
  const made = await auth.call("POST", "/api/auth/register", {
    body: { email: "dev@example.com", password: "Password-1!" },
    headers: from("198.51.100.1"),
  });
  const token = String(made.body["token"]);
  const begun = performance.now();
  let n = 0;
  const answers = await calls(60, (at) => auth.call("GET", "/api/auth/me", { token, headers: from(`198.51.100.${n++}`), at }));
  const seconds = (performance.now() - begun) / 1000;
  const ok = answers.filter(({ status }) => status === 200).length;
  expect(ok).toBeGreaterThanOrEqual(30 - 2);
  // One lease of a tenth of the burst may be in the hands of each instance.
  expect(ok).toBeLessThanOrEqual(30 + seconds + 2 * 3);
  expect(answers.every(({ status }) => status === 200 || status === 429)).toBe(true);
});

import { RpcError, RpcUnavailable } from "@headwater/messaging";
import type { TokenUsage, UsageRequest } from "@headwater/protocol";
import type { Clock } from "@headwater/runtime";
import { collectingLogger, quietLogger, until } from "@headwater/testkit";
import { afterEach, describe, expect, it } from "vitest";
import { createUsageClient, type UsageClient } from "./usage-client.ts";

const usage = (over: Partial<TokenUsage> = {}): TokenUsage => ({
  currentMonth: "2026-01", tokensUsed: 0, limit: 100, lastResetDate: "2026-01-01T00:00:00Z", overdraftAllowed: false, ...over,
}); // biome-ignore format: one literal

interface World {
  client: UsageClient;
  asked: UsageRequest[];
  auth: { usage: TokenUsage; failure: Error | undefined; counted: Map<string, number> };
  clock: Clock & { ms: number };
}

const clients: UsageClient[] = [];
function world(log = quietLogger()): World {
  const clock = { ms: 0, now: () => clock.ms, monotonicMs: () => clock.ms };
  const asked: UsageRequest[] = [];
  const auth: World["auth"] = { usage: usage(), failure: undefined, counted: new Map() };
  const client = createUsageClient(undefined, {
    clock,
    log,
    hardLimit: undefined,
    retryMs: 5,
    ask: async (request) => {
      asked.push(request);
      if (auth.failure) throw auth.failure;
      if (request.add) auth.counted.set(request.add.id, request.add.tokens);
      const tokensUsed = auth.usage.tokensUsed + [...auth.counted.values()].reduce((sum, tokens) => sum + tokens, 0);
      return { tokenUsage: { ...auth.usage, tokensUsed } };
    },
  });
  clients.push(client);
  return { client, asked, auth, clock };
}
afterEach(async () => {
  for (const client of clients.splice(0)) await client.stop();
});

const away = new RpcUnavailable("nobody answers");

describe("check", () => {
  it("asks once for a few seconds, also when many ask at the same time", async () => {
    const { client, asked, clock } = world();
    const answers = await Promise.all([client.check("t"), client.check("t"), client.check("u")]);
    expect(answers[0]).toEqual({ ok: true, tokenUsage: usage() });
    await client.check("t");
    expect(asked.map(({ tenantId }) => tenantId)).toEqual(["t", "u"]);
    clock.ms = 5_001;
    await client.check("t");
    expect(asked).toHaveLength(3);
  });

  it("says when the quota is used up", async () => {
    const { client, auth } = world();
    auth.usage = usage({ tokensUsed: 100 });
    expect(await client.check("t")).toEqual({ ok: false, reason: "quota", tokenUsage: usage({ tokensUsed: 100 }) });
  });

  it("goes on with what it knew while auth is away, but not for ever", async () => {
    const { client, auth, clock } = world();
    auth.failure = away;
    expect(await client.check("t")).toEqual({ ok: false, reason: "unavailable" });
    auth.failure = undefined;
    await client.check("t");
    auth.failure = away;
    clock.ms = 60_000;
    expect((await client.check("t")).ok).toBe(true);
    clock.ms = 700_000;
    expect(await client.check("t")).toEqual({ ok: false, reason: "unavailable" });
  });
});

describe("reserve", () => {
  it("lets calls at once not find the same tokens, and shows them to check", async () => {
    const { client } = world();
    const first = await client.reserve("t", 100);
    expect((await client.reserve("t", 1)).ok).toBe(false);
    expect((await client.check("t")).ok).toBe(false);
    expect((await client.reserve("u", 1)).ok).toBe(true);
    if (first.ok) first.settle();
    expect((await client.reserve("t", 1)).ok).toBe(true);
  });
});

describe("add", () => {
  it("answers with the month after it", async () => {
    const { client } = world();
    expect(await client.add("t", "a", 7)).toMatchObject({ tokensUsed: 7 });
    expect(await client.check("t")).toMatchObject({ ok: true, tokenUsage: { tokensUsed: 7 } });
  });

  it("waits for auth, counts meanwhile, and is sent under the same id", async () => {
    const { client, auth, asked } = world();
    await client.check("t");
    auth.failure = away;
    expect(await client.add("t", "a", 60)).toBeUndefined();
    expect(await client.add("t", "b", 40)).toBeUndefined();
    expect(client.waiting()).toBe(2);
    expect(await client.check("t")).toMatchObject({ ok: false, reason: "quota", tokenUsage: { tokensUsed: 100 } });
    auth.failure = undefined;
    await until("both are counted", () => client.waiting() === 0);
    expect([...auth.counted]).toEqual([
      ["a", 60],
      ["b", 40],
    ]);
    expect(asked.filter(({ add }) => add?.id === "a").length).toBeGreaterThan(1);
  });

  it("does not repeat what auth refuses", async () => {
    const { client, auth, asked } = world();
    auth.failure = new RpcError("not_found", "no such tenant", 404);
    expect(await client.add("t", "a", 60)).toBeUndefined();
    expect([client.waiting(), asked.length]).toEqual([0, 1]);
  });

  it("repeats what auth could not do", async () => {
    const { client, auth } = world();
    auth.failure = new RpcError("internal", "internal error", 500);
    await client.add("t", "a", 60);
    auth.failure = undefined;
    await until("it is counted", () => auth.counted.get("a") === 60);
  });

  it("tells what is lost at the end", async () => {
    const { log, lines } = collectingLogger();
    const { client, auth } = world(log);
    auth.failure = away;
    await client.add("t", "a", 60);
    await client.stop();
    expect(lines().some(({ msg }) => msg === "usage.additions_lost")).toBe(true);
  });
});

/** Calls of edges over NATS: the whole service behind `llm.call`, in the words of `/ws`. */
import { serveRequests } from "@headwater/messaging";
import { quietLogger, until } from "@headwater/testkit";
import { afterAll, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { feedRecord } from "../testing/feed-record.ts";
import { type Instance, IntelligenceFixture } from "../testing/intelligence-fixture.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
const PRIVATE = "65f789abc1230a1b2c3d4e60";
const alice = { tenantId: "alice", userId: "u-alice" };
const bob = { tenantId: "bob", userId: "u-bob" };
const base = { kind: "query", caller: bob, feedId: FEED, question: "What is new?", stream: true } as const;

let fixture: IntelligenceFixture;
let main: Instance;

beforeAll(async () => {
  fixture = await IntelligenceFixture.open(inject("databaseUrl"));
  await fixture.feed(feedRecord(FEED));
  await fixture.feed(feedRecord(PRIVATE, { isPublic: false }));
  await fixture.put({ feedId: FEED, topic: "BTC", json: '{"price":"101.5"}' });
  main = await fixture.start({ LLM_TIMEOUT_MS: "1000" });
  await main.service.settled();
});
beforeEach(() => {
  fixture.provider.behave({ kind: "answer" });
  fixture.usage.clear();
});
afterAll(() => fixture.close());

it("streams tokens that make the answer, and bills the caller before the end", async () => {
  const tokens: string[] = [];
  const outcome = await fixture.client.call(base, { onToken: (text) => void tokens.push(text) });
  expect(outcome).toEqual({
    ok: true,
    result: {
      answer: tokens.join(""),
      provider: "openai",
      feedId: FEED,
      tokensUsed: 150,
      durationMs: expect.any(Number),
      tokenUsage: { ...fixture.usageOf("bob"), tokensUsed: 150 },
    },
  });
  expect(tokens).toEqual(["Prices ", "are", " rising."]);
});

it("a slow caller holds neither the provider nor a place at it: the answer waits here, and comes whole", async () => {
  const pieces = Array.from({ length: 300 }, (_, n) => `word${n} `);
  fixture.provider.behave({ kind: "answer", pieces });
  const before = fixture.provider.calls().length;
  const reading = Promise.withResolvers<void>();
  const tokens: string[] = [];
  const outcome = fixture.client.call(base, {
    onToken: async (text) => {
      tokens.push(text);
      await reading.promise;
    },
  });
  await until("the provider has said everything", () => fixture.provider.calls()[before]?.isDone === true);
  await until("its place is free", () => {
    const { size, free } = main.service.status()["slots"] as { size: number; free: number };
    return free === size;
  });
  expect(tokens).toEqual([pieces[0]]);
  expect(main.service.status()["calls"]).toBe(1);
  reading.resolve();
  expect(await outcome).toMatchObject({ ok: true, result: { answer: pieces.join("") } });
  expect(tokens).toEqual(pieces);
});

it("answers without a stream, analyses, and names its providers", async () => {
  expect(await fixture.client.call({ ...base, stream: false })).toMatchObject({ ok: true, result: { answer: "Prices are rising." } });
  expect(await fixture.client.call({ kind: "analyze", caller: bob, feedId: FEED, stream: false })).toMatchObject({ ok: true });
  expect(await fixture.client.call({ kind: "providers", stream: false })).toMatchObject({
    ok: true,
    result: { providers: ["openai", "builtin"] },
  });
  expect(fixture.usageOf("bob").tokensUsed).toBe(300);
});

it.each([
  [{ caller: undefined }, 401, "missing token"],
  [{ feedId: undefined }, 400, "feedId is required"],
  [{ question: "" }, 400, "question is required"],
  [{ provider: "gemini" }, 400, "provider 'gemini' not configured"],
  [{ feedId: PRIVATE }, 404, "Feed not found"],
  [{ kind: "clear-context" as const }, 403, "not authorized"],
  [{ kind: "toggle-auto-analysis" as const, enabled: true }, 403, "not authorized"],
  [{ kind: "toggle-auto-analysis" as const, caller: alice }, 400, "invalid payload"],
])("refuses %j", async (change, status, message) => {
  const { caller = undefined, feedId = undefined, ...rest } = { ...base, ...change };
  const outcome = await fixture.client.call({ ...rest, ...(caller ? { caller } : {}), ...(feedId ? { feedId } : {}) });
  expect(outcome).toEqual({ ok: false, status, message });
});

it("passes the failure of a provider on, after the words that were said", async () => {
  fixture.provider.behave({ kind: "half", pieces: ["Half an "] });
  const tokens: string[] = [];
  const outcome = await fixture.client.call(base, { onToken: (text) => void tokens.push(text) });
  expect(outcome).toEqual({ ok: false, status: 502, message: expect.stringMatching(/^openai error: /) });
  expect(tokens).toEqual(["Half an "]);
  fixture.provider.behave({ kind: "hang" });
  expect(await fixture.client.call(base)).toEqual({ ok: false, status: 504, message: "openai timed out" });
});

it("ends the provider's call within a second of a cancellation", async () => {
  fixture.provider.behave({ kind: "endless", piece: "word " });
  const before = fixture.provider.calls().length;
  const gone = new AbortController();
  const outcome = fixture.client.call(base, { onToken: () => gone.abort(), signal: gone.signal });
  expect(await outcome).toMatchObject({ ok: false, status: 499 });
  await until("the provider's call has ended", () => fixture.provider.calls()[before]?.isAbandoned === true, 1_000);
});

it("shows and clears a context", async () => {
  const feedId = "65f789abc1230a1b2c3d4e61";
  await fixture.feed(feedRecord(feedId));
  await fixture.put({ feedId, topic: "A", json: '{"a":1e400}' });
  await main.service.settled();
  const call = (kind: "context" | "clear-context") => fixture.client.call({ kind, caller: alice, feedId, stream: false });
  expect(await call("context")).toEqual({ ok: true, result: { json: expect.stringContaining('"a":1e400') } });
  expect(await call("clear-context")).toEqual({ ok: true, result: { feedId } });
  expect(await call("context")).toEqual({ ok: true, result: { json: expect.stringContaining('"hasContext":false') } });
});

it("has routing turn automatic analysis on, for the owner, and says when it cannot", async () => {
  const call = () => fixture.client.call({ kind: "toggle-auto-analysis", caller: alice, feedId: FEED, enabled: true, stream: false });
  expect(await call()).toEqual({ ok: false, status: 503, message: "service unavailable", retryAfterMs: 1_000 });
  const asked: unknown[] = [];
  const routing = serveRequests(fixture.nats, {
    name: "routing",
    version: "0.0.0",
    description: "writes feeds",
    instanceId: "routing-0",
    metadata: {},
    statsData: () => ({}),
    endpoints: { "auto-analysis": (payload) => asked.push(payload) },
    log: quietLogger(),
  });
  expect(await call()).toEqual({ ok: true, result: { feedId: FEED, enabled: true } });
  expect(asked).toEqual([{ tenantId: "alice", feedId: FEED, enabled: true }]);
  routing.stop();
});

it("is told as a missing service when no provider is configured", async () => {
  await main.stop();
  main = await fixture.start({ OPENAI_API_KEY: "", LLM_BUILTIN: "off" });
  expect(await fixture.client.call(base)).toEqual({ ok: false, status: 503, message: "LLM service not configured" });
});

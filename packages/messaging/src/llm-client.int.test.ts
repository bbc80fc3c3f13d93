/** Both halves of a call to intelligence against a real server that runs with the product's permissions. */
import { LLM_ALIVE_MS, LLM_CREDIT, type LlmAnswer, type LlmCall, natsPermissions, subjects } from "@headwater/protocol";
import { systemClock } from "@headwater/runtime";
import { collectingLogger, quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { connectionOf, type Nats, openNats } from "./connection.ts";
import { createLlmClient, type LlmClient, type LlmRequest } from "./llm-client.ts";
import { LlmFailure, type LlmHandler, type LlmServerOptions, type LlmServing, serveLlmCalls } from "./llm-server.ts";

const log = quietLogger();
const QUESTION: LlmRequest = { kind: "query", feedId: "f", question: "what is new?", stream: true };
const ANSWER: LlmAnswer = { answer: "Up 2%", provider: "openai", feedId: "f", tokensUsed: 5, durationMs: 7 };

let server: TestNats;
let edge: Nats;
let intelligence: Nats;
let client: LlmClient;
const ends: (() => Promise<void>)[] = [];

const connect = (user: "edge" | "intelligence"): Promise<Nats> => openNats({ url: server.url, user, password: "pw", name: user, log });
const clientOf = (nats: Nats, aliveMs?: number): LlmClient =>
  createLlmClient(nats, { clock: systemClock, log, ...(aliveMs === undefined ? {} : { aliveMs }) });

async function serve(handler: LlmHandler, options: Partial<LlmServerOptions> = {}, nats = intelligence): Promise<LlmServing> {
  const serving = serveLlmCalls(nats, handler, { log, ...options });
  ends.push(() => serving.stop());
  await nats.flush();
  return serving;
}

/** A service that says what the test wants, word by word. */
async function rawService(answer: (call: LlmCall, say: (chunk: object | string) => void) => void): Promise<{ controls: unknown[] }> {
  const controls: unknown[] = [];
  const subs = [
    intelligence.core.subscribe(subjects.allLlmControls(), {
      callback: (msg) => void controls.push(JSON.parse(new TextDecoder().decode(msg.data))),
    }),
    intelligence.core.subscribe(subjects.llmCall(), {
      queue: "llm",
      callback: (msg) =>
        answer(JSON.parse(new TextDecoder().decode(msg.data)) as LlmCall, (chunk) => {
          msg.respond(typeof chunk === "string" ? chunk : JSON.stringify(chunk));
        }),
    }),
  ];
  ends.push(async () => {
    for (const sub of subs) sub.unsubscribe();
  });
  await intelligence.flush();
  return { controls };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })));

beforeAll(async () => {
  server = await startNats({
    users: (["edge", "intelligence"] as const).map((user) => ({ user, password: "pw", permissions: natsPermissions(user) })),
  });
  [edge, intelligence] = await Promise.all([connect("edge"), connect("intelligence")]);
  client = clientOf(edge);
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await intelligence.flush();
});
afterAll(async () => {
  await Promise.all([edge.drain(), intelligence.drain()]);
  await server.stop();
});

describe("an answer", () => {
  it("comes as all its tokens in order, then the end", async () => {
    const words = Array.from({ length: 1_000 }, (_, i) => `w${i} `);
    const calls: LlmCall[] = [];
    await serve(async (call, out) => {
      calls.push(call);
      for (const word of words) await out.token(word);
      return ANSWER;
    });
    const got: string[] = [];
    const caller = { tenantId: "t", userId: "u" };
    const outcome = await client.call({ ...QUESTION, caller, topic: "BTC" }, { onToken: (text) => void got.push(text) });
    expect(outcome).toEqual({ ok: true, result: ANSWER });
    expect(got).toEqual(words);
    expect(calls).toEqual([{ ...QUESTION, v: 1, callId: expect.stringMatching(/^[A-Za-z0-9_-]{16,64}$/), caller, topic: "BTC" }]);
  });

  it("keeps the order of tokens the service does not wait for; a long one travels in pieces cut between characters", async () => {
    const long = "🙂".repeat(20_001);
    await serve(async (_call, out) => {
      void out.token("first ");
      void out.token(long);
      void out.token("");
      void out.token("last");
      return ANSWER;
    });
    const got: string[] = [];
    expect((await client.call(QUESTION, { onToken: (text) => void got.push(text) })).ok).toBe(true);
    expect(got.join("")).toBe(`first ${long}last`);
    expect(got.length).toBeGreaterThan(3);
    expect(got.every((text) => text.isWellFormed() && text.length <= 16_384)).toBe(true);
  });

  it("without tokens when none are wanted, and in any shape when it is no answer", async () => {
    await serve(async (call, out) => {
      await out.token("not asked for");
      return call.kind === "providers" ? { enabled: true, providers: ["builtin"] } : ANSWER;
    });
    const got: string[] = [];
    const hooks = { onToken: (text: string) => void got.push(text) };
    expect(await client.call({ ...QUESTION, stream: false }, hooks)).toEqual({ ok: true, result: ANSWER });
    const providers = await client.call({ kind: "providers", stream: false }, hooks);
    expect(providers).toEqual({ ok: true, result: { enabled: true, providers: ["builtin"] } });
    expect(got).toEqual([]);
  });

  it("is given by one of several instances, each call by itself", async () => {
    const counts = [0, 0];
    const other = await connect("intelligence");
    const count =
      (n: number): LlmHandler =>
      async (call, out) => {
        counts[n] = (counts[n] ?? 0) + 1;
        await out.token(call.question ?? "");
        return ANSWER;
      };
    await serve(count(0));
    await serve(count(1), {}, other);
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        let text = "";
        const outcome = await client.call({ ...QUESTION, question: `q${i}` }, { onToken: (token) => void (text += token) });
        return outcome.ok ? text : outcome;
      }),
    );
    expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => `q${i}`));
    expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(100);
    expect(Math.min(...counts)).toBeGreaterThan(10);
    await other.drain();
  });
});

describe("a refusal", () => {
  it("has the service's status and text, after the tokens before it", async () => {
    await serve(async (_call, out) => {
      await out.token("half");
      throw new LlmFailure(429, "token quota exceeded", { retryAfterMs: 1_500 });
    });
    const got: string[] = [];
    const outcome = await client.call(QUESTION, { onToken: (text) => void got.push(text) });
    expect(outcome).toEqual({ ok: false, status: 429, message: "token quota exceeded", retryAfterMs: 1_500 });
    expect(got).toEqual(["half"]);
  });

  it("that nobody planned says nothing of how; the log says it once", async () => {
    const { log: kept, lines } = collectingLogger();
    await serve(
      async () => {
        throw new Error("key sk-123");
      },
      { log: kept },
    );
    expect(await client.call(QUESTION)).toEqual({ ok: false, status: 500, message: "internal error" });
    expect(lines().filter((line) => line["msg"] === "llm.handler_failed")).toHaveLength(1);
  });

  it("is what a result gets that is too large to travel", async () => {
    await serve(async () => ({ entries: "x".repeat(9 * 1024 * 1024) }));
    expect(await client.call(QUESTION)).toEqual({ ok: false, status: 500, message: "internal error" });
    expect(edge.connected() && intelligence.connected()).toBe(true);
  });

  it("nobody serves: told at once, with the contract's text", async () => {
    const before = performance.now();
    expect(await client.call(QUESTION)).toEqual({ ok: false, status: 503, message: "LLM service not configured" });
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  it.each(["{not json", "{}", JSON.stringify({ v: 1, callId: "short", kind: "query", stream: true })])(
    "a call that is none, %s, is refused, and the next one served",
    async (text) => {
      await serve(async () => ANSWER);
      const answer = await edge.core.request(subjects.llmCall(), text);
      expect(JSON.parse(new TextDecoder().decode(answer.data))).toEqual({ n: 0, type: "error", status: 400, message: "invalid payload" });
      expect((await client.call(QUESTION)).ok).toBe(true);
    },
  );
});

describe("back-pressure", () => {
  it("a caller that takes nothing holds the service at its credit, then gets everything", async () => {
    let sent = 0;
    await serve(async (_call, out) => {
      for (; sent < 1_000; sent++) await out.token(`${sent} `);
      return ANSWER;
    });
    const gate = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    let got = "";
    const outcome = client.call(QUESTION, {
      async onToken(text) {
        started.resolve();
        await gate.promise;
        got += text;
      },
    });
    await started.promise;
    await until("the credit is used up", () => sent === LLM_CREDIT);
    // Everything the service might still say without credit would be here after this.
    await intelligence.flush();
    await edge.flush();
    expect(sent).toBe(LLM_CREDIT);
    gate.resolve();
    expect((await outcome).ok).toBe(true);
    expect(got).toBe(Array.from({ length: 1_000 }, (_, i) => `${i} `).join(""));
  });

  it("one that never takes anything is given up, and the work with it", async () => {
    const over = Promise.withResolvers<unknown>();
    const serving = await serve(
      async (_call, out) => {
        try {
          for (;;) await out.token("x");
        } catch (error) {
          over.resolve(error);
          throw error;
        }
      },
      { creditWithinMs: 100 },
    );
    const leave = new AbortController();
    const outcome = client.call(QUESTION, { onToken: () => new Promise(() => undefined), signal: leave.signal });
    expect(await over.promise).toMatchObject({ status: 504 });
    await until("no call is left", () => serving.running() === 0);
    leave.abort();
    expect(await outcome).toMatchObject({ status: 499 });
  });

  it("a credit that got lost is told again with the next sign of life", async () => {
    const { controls } = await rawService((_call, say) => {
      for (let n = 0; n < LLM_CREDIT; n++) say({ n, type: "token", text: "x" });
      say({ n: LLM_CREDIT, type: "alive" });
    });
    const leave = new AbortController();
    const outcome = client.call(QUESTION, { signal: leave.signal });
    await until("the last credit", () => controls.some((control) => JSON.stringify(control) === '{"type":"credit","upTo":65}'));
    leave.abort();
    await outcome;
  });
});

describe("cancellation", () => {
  it("settles at once here, and within a second there", async () => {
    const started = Promise.withResolvers<void>();
    const stopped = Promise.withResolvers<number>();
    const serving = await serve(async (_call, out) => {
      started.resolve();
      await aborted(out.signal);
      stopped.resolve(performance.now());
      await expect(out.token("late")).rejects.toMatchObject({ status: 499 });
      throw new Error("stopped");
    });
    const leave = new AbortController();
    const outcome = client.call(QUESTION, { signal: leave.signal });
    await started.promise;
    const before = performance.now();
    leave.abort();
    expect(await outcome).toEqual({ ok: false, status: 499, message: "cancelled" });
    expect((await stopped.promise) - before).toBeLessThan(1_000);
    await until("no call is left", () => serving.running() === 0);
  });

  it("right behind the call reaches it all the same", async () => {
    const stopped = Promise.withResolvers<void>();
    await serve(async (_call, out) => {
      await aborted(out.signal);
      stopped.resolve();
      return ANSWER;
    });
    const leave = new AbortController();
    const outcome = client.call(QUESTION, { signal: leave.signal });
    leave.abort();
    expect(await outcome).toMatchObject({ status: 499 });
    await stopped.promise;
  });

  it("before the call asks nobody", async () => {
    let calls = 0;
    await serve(async () => {
      calls++;
      return ANSWER;
    });
    expect(await client.call(QUESTION, { signal: AbortSignal.abort() })).toMatchObject({ status: 499 });
    expect((await client.call(QUESTION)).ok).toBe(true);
    expect(calls).toBe(1);
  });

  it("is also what a caller's own fault is", async () => {
    const stopped = Promise.withResolvers<void>();
    await serve(async (_call, out) => {
      await out.token("x");
      await aborted(out.signal);
      stopped.resolve();
      return ANSWER;
    });
    const fault = new Error("caller broke");
    const outcome = client.call(QUESTION, {
      onToken() {
        throw fault;
      },
    });
    await expect(outcome).rejects.toBe(fault);
    await stopped.promise;
  });
});

describe("a service that fails", () => {
  it("dies in the middle: the caller is told after three silent periods", async () => {
    expect(LLM_ALIVE_MS * 3).toBeLessThanOrEqual(15_000);
    const dying = await connect("intelligence");
    const first = Promise.withResolvers<void>();
    await serve((_call, out) => out.token("half").then(() => new Promise(() => undefined)), {}, dying);
    const began = performance.now();
    const outcome = clientOf(edge, 100).call(QUESTION, { onToken: () => first.resolve() });
    await first.promise;
    await connectionOf(dying).close();
    expect(await outcome).toEqual({ ok: false, status: 504, message: "request timed out" });
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  it("thinks for long, and says so: the caller waits", async () => {
    const answer = Promise.withResolvers<LlmAnswer>();
    await serve(() => answer.promise, { aliveMs: 50 });
    let isOver = false;
    const outcome = clientOf(edge, 60).call(QUESTION);
    void outcome.then(() => (isOver = true));
    // Far longer than three periods of silence, counted in signs of life that passed through the server.
    const heard = await aliveChunks(20);
    expect([isOver, heard]).toEqual([false, 20]);
    answer.resolve(ANSWER);
    expect((await outcome).ok).toBe(true);
  });

  it.each<[string, (object | string)[]]>([
    [
      "a chunk is missing",
      [
        { n: 0, type: "token", text: "a" },
        { n: 2, type: "token", text: "c" },
      ],
    ],
    [
      "a chunk comes twice",
      [
        { n: 0, type: "token", text: "a" },
        { n: 0, type: "token", text: "a" },
      ],
    ],
    ["the end comes early", [{ n: 1, type: "done", result: ANSWER }]],
    ["a chunk is no JSON", ["{"]],
    ["a chunk is of no known type", [{ n: 0, type: "surprise" }]],
    ["more comes than was allowed", Array.from({ length: 1_000 }, (_, n) => ({ n, type: "token", text: "x" }))],
  ])("%s: 502, and the service is told to stop", async (_name, chunks) => {
    const { controls } = await rawService((_call, say) => {
      for (const chunk of chunks) say(chunk);
    });
    const never = new Promise<void>(() => undefined);
    expect(await client.call(QUESTION, { onToken: () => never })).toMatchObject({ ok: false, status: 502 });
    await until("cancelled", () => controls.some((control) => JSON.stringify(control) === '{"type":"cancel"}'));
  });

  it("stops: lets running calls end for a while, then gives them up", async () => {
    const first = Promise.withResolvers<LlmAnswer>();
    const calls: string[] = [];
    const serving = await serve((call) => {
      calls.push(call.question ?? "");
      return call.question === "quick" ? first.promise : new Promise(() => undefined);
    });
    const quick = client.call({ ...QUESTION, question: "quick" });
    const endless = client.call({ ...QUESTION, question: "endless" });
    await until("both run", () => calls.length === 2);
    const stopped = serving.stop(200);
    first.resolve(ANSWER);
    expect((await quick).ok).toBe(true);
    await stopped;
    expect(await endless).toEqual({ ok: false, status: 503, message: "service unavailable" });
    expect(await client.call(QUESTION)).toMatchObject({ message: "LLM service not configured" });
  });
});

it("while the broker is away a call fails at once", async () => {
  const lost = await connect("edge");
  server.kill();
  await until("seen as down", () => !lost.connected());
  expect(await clientOf(lost).call(QUESTION)).toEqual({ ok: false, status: 503, message: "service unavailable" });
  await until("all are back", () => [lost, edge, intelligence].every((nats) => nats.connected()));
  await lost.drain();
});

/** Waits until so many signs of life of any call went through the server. */
async function aliveChunks(count: number): Promise<number> {
  let seen = 0;
  const sub = connectionOf(edge).subscribe("_INBOX_edge.>", {
    callback: (_error, msg) => {
      if (new TextDecoder().decode(msg.data).includes('"alive"')) seen++;
    },
  });
  await until("signs of life", () => seen >= count);
  sub.unsubscribe();
  return count;
}

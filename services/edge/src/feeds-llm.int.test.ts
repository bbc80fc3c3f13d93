/** Questions on `/ws` through the product's own calls to a fake intelligence, which behaves and misbehaves as the test says. */
import { LLM_ALIVE_MS, SOCKET_ERRORS } from "@headwater/protocol";
import { LlmFailure, type LlmHandler } from "@headwater/messaging";
import { until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const FEED = "65f456abc1230a1b2c3d4e01";
const FOREIGN = "65f456abc1230a1b2c3d4e02";
const USAGE = { currentMonth: "2026-01", tokensUsed: 5, limit: 10, lastResetDate: "2026-01-01T00:00:00Z", overdraftAllowed: true };
const ANSWER = { answer: "Up 2%", provider: "openai", feedId: FEED, tokensUsed: 5, durationMs: 7, tokenUsage: USAGE };
const CALLER = { tenantId: "acme", userId: "user_acme" };

let fixture: EdgeFixture;
let edge: RunningEdge;
const sockets: SocketClient[] = [];
const fakes: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge();
  fixture.addSession("jwt", "acme");
  fixture.addSession("other", "other");
  fixture.addKey("llm", "acme", "free", { scopes: ["websocket:llm"], userId: "user_acme" });
  fixture.addKey("topic", "acme", "free", { scopes: ["websocket:topic"], userId: "user_acme" });
  await fixture.addFeed(FEED, "acme", { isPublic: true });
  await fixture.addFeed(FOREIGN, "other", { isPublic: true });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
  for (const fake of fakes.splice(0)) await fake.stop();
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });
async function login(token = "jwt"): Promise<SocketClient> {
  const socket = await openSocket(edge.url);
  sockets.push(socket);
  await socket.ask(msg("authenticate", { token }));
  expect(socket.frames[0]?.type).toBe("authenticated");
  return socket;
}
async function intelligence(handler: LlmHandler, options?: { aliveMs?: number }) {
  const fake = await fixture.serveLlm(handler, options);
  fakes.push(fake);
  return fake;
}
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    const stop = (): void => reject(new Error("stopped"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
/** A fake that never ends by itself, and what became of its calls. */
async function hanging() {
  const state = { started: 0, stoppedAt: [] as number[] };
  const fake = await intelligence(async (_call, out) => {
    state.started++;
    try {
      return await aborted(out.signal);
    } finally {
      state.stoppedAt.push(performance.now());
    }
  });
  return { ...fake, state };
}
const question = (requestId: string | number = "r") => msg("llm-query-stream", { feedId: FEED, question: "what?", requestId });
const nonPongs = (socket: SocketClient) => socket.frames.filter((frame) => frame.type !== "pong" && frame.type !== "authenticated");

describe("an answer", () => {
  const reply = { answer: "Up 2%", provider: "openai", feedId: FEED, durationMs: 7, requestId: "r" };
  const usage = { type: "token-usage-update", payload: USAGE };
  const CASES: [string, unknown, unknown[], object][] = [
    [
      "llm-query",
      msg("llm-query", { feedId: FEED, question: " what? ", requestId: "r", provider: "openai", systemPrompt: "be brief", topic: 5 }),
      [usage, { type: "llm-response", payload: reply }],
      { kind: "query", question: "what?", provider: "openai", systemPrompt: "be brief", topic: "5", stream: false },
    ],
    [
      "llm-query-stream",
      question(),
      [
        { type: "llm-token", payload: { token: "Up ", requestId: "r" } },
        { type: "llm-token", payload: { token: "2%", requestId: "r" } },
        usage,
        { type: "llm-complete", payload: reply },
      ],
      { kind: "query", question: "what?", stream: true },
    ],
    [
      "analyze-crypto",
      msg("analyze-crypto", { feedId: FEED, customPrompt: "why?" }),
      [
        { type: "ai-stream", payload: { token: "Up " } },
        { type: "ai-stream", payload: { token: "2%" } },
        usage,
        { type: "ai-complete", payload: { response: "Up 2%", duration: 7 } },
      ],
      { kind: "query", question: "why?", stream: true },
    ],
    [
      "analyze-universal-feed",
      msg("analyze-universal-feed", { feedId: FEED, analysisId: 9 }),
      [usage, { type: "universal-ai-complete", payload: { response: "Up 2%", duration: 7, analysisId: 9 } }],
      { kind: "query", question: expect.stringContaining("Summarise"), stream: false },
    ],
  ];
  it.each(CASES)("%s: tokens, the bill, the answer, and nothing more", async (_name, message, frames, call) => {
    const calls: unknown[] = [];
    await intelligence(async (received, out) => {
      calls.push(received);
      await out.token("Up ");
      await out.token("2%");
      return ANSWER;
    });
    const socket = await login();
    socket.send(message);
    await socket.when("the answer", () => nonPongs(socket).length >= frames.length);
    await socket.ask();
    expect(nonPongs(socket)).toEqual(frames);
    expect(calls).toEqual([{ v: 1, callId: expect.any(String), caller: CALLER, feedId: FEED, ...call }]);
  });

  it("of thousands of tokens is their concatenation; other messages are answered meanwhile", async () => {
    const words = Array.from({ length: 3_000 }, (_, i) => `w${i}🙂\n"`);
    const gate = Promise.withResolvers<void>();
    await intelligence(async (_call, out) => {
      for (const [i, word] of words.entries()) {
        if (i === 100) await gate.promise;
        await out.token(word);
      }
      return { ...ANSWER, answer: words.join("") };
    });
    const socket = await login();
    socket.send(question());
    await socket.received("llm-token", 100);
    expect(await socket.ask(msg("nonsense"))).toHaveLength(1);
    gate.resolve();
    const [complete] = await socket.received("llm-complete", 1);
    expect(
      socket
        .of("llm-token")
        .map((frame) => frame.payload["token"])
        .join(""),
    ).toBe(complete?.payload["answer"]);
    expect(socket.frames.at(-1)?.type).toBe("llm-complete");
  });

  it("belongs to its question: many at once do not mix", async () => {
    await intelligence(async (call, out) => {
      for (const letter of `${call.question}`) await out.token(letter);
      return { ...ANSWER, answer: `${call.question}` };
    });
    const socket = await login();
    for (let i = 0; i < 16; i++) socket.send(msg("llm-query-stream", { feedId: FEED, question: `question ${i}`, requestId: i }));
    const done = await socket.received("llm-complete", 16);
    for (const { payload } of done) {
      const tokens = socket.of("llm-token").filter((frame) => frame.payload["requestId"] === payload["requestId"]);
      expect(tokens.map((frame) => frame.payload["token"]).join("")).toBe(`question ${payload["requestId"]}`);
      expect(payload["answer"]).toBe(`question ${payload["requestId"]}`);
    }
  });
});

describe("every failure by its text, once, with its requestId", () => {
  const ROWS: [string, LlmHandler, string][] = [
    ["quota", () => Promise.reject(new LlmFailure(429, "token quota exceeded")), "token quota exceeded"],
    ["tenant's limit", () => Promise.reject(new LlmFailure(429, "too many concurrent queries")), "too many concurrent queries"],
    ["unknown provider", () => Promise.reject(new LlmFailure(400, "provider 'x' not configured")), "provider 'x' not configured"],
    ["provider's fault", () => Promise.reject(new LlmFailure(502, "openai error: overloaded")), "openai error: overloaded"],
    ["provider's silence", () => Promise.reject(new LlmFailure(504, "openai timed out")), "openai timed out"],
    ["feed deleted meanwhile", () => Promise.reject(new LlmFailure(404, "Feed not found")), "feed not found"],
    [
      "no provider",
      () => Promise.reject(new LlmFailure(503, "No LLM providers configured. Please set API keys in environment variables.")),
      "LLM service not configured",
    ],
    ["a bug", () => Promise.reject(new TypeError("x is undefined")), "internal error"],
    ["no answer but something", async () => ({ hello: "world" }), "internal error"],
  ];
  it.each(ROWS)("%s", async (_name, handler, error) => {
    await intelligence(handler);
    const socket = await login();
    const expected = (type: string, rest: object) => JSON.stringify({ type, payload: { error, feedId: FEED, ...rest } });
    expect(await socket.reply(question(7))).toBe(expected("llm-error", { requestId: 7 }));
    expect(await socket.reply(msg("llm-query", { feedId: FEED, question: "?" }))).toBe(expected("llm-error", {}));
    expect(await socket.reply(msg("analyze-crypto", { feedId: FEED }))).toBe(expected("ai-error", {}));
    expect(await socket.reply(msg("analyze-universal-feed", { feedId: FEED, analysisId: "a" }))).toBe(
      expected("universal-ai-error", { analysisId: "a" }),
    );
    expect(await socket.ask()).toEqual([]);
  });

  it("a failure after tokens", async () => {
    await intelligence(async (_call, out) => {
      await out.token("half");
      throw new LlmFailure(502, "openai error: cut");
    });
    const socket = await login();
    socket.send(question());
    await socket.received("llm-error", 1);
    expect(nonPongs(socket).map((frame) => frame.type)).toEqual(["llm-token", "llm-error"]);
  });

  it("more than sixteen at a time", async () => {
    const { state } = await hanging();
    const socket = await login();
    for (let i = 0; i < 17; i++) socket.send(question(i));
    await until("sixteen run", () => state.started === 16);
    expect(await socket.received("llm-error", 1)).toEqual([
      { type: "llm-error", payload: { error: "too many concurrent queries", feedId: FEED, requestId: 16 } },
    ]);
  });
});

describe("a question ends within a second when", () => {
  const END: [string, (socket: SocketClient) => unknown, string | undefined][] = [
    ["its socket closes", (socket) => socket.ws.close(), undefined],
    ["its socket vanishes", (socket) => socket.ws.terminate(), undefined],
    ["its session is revoked", () => fixture.register("session", "sid_jwt", { id: "sid_jwt" }), undefined],
    ["somebody else logs in", (socket) => socket.send(msg("authenticate", { token: "other" })), SOCKET_ERRORS.forbidden],
    ["the next credential may not ask", (socket) => socket.send(msg("authenticate", { apiKey: "topic" })), SOCKET_ERRORS.forbidden],
    ["its feed is deleted", () => fixture.removeFeed(FEED), SOCKET_ERRORS.feed_not_found],
  ];
  it.each(END)("%s", async (_name, end, error) => {
    const { state, running } = await hanging();
    const socket = await login();
    socket.send(question());
    socket.send(question("s"));
    await until("they run", () => state.started === 2);
    const before = performance.now();
    await end(socket);
    await until("they are over", () => state.stoppedAt.length === 2);
    expect(Math.max(...state.stoppedAt) - before).toBeLessThan(1_000);
    await until("nothing is left", () => running() === 0);
    if (error !== undefined) {
      expect(await socket.received("llm-error", 2)).toEqual(
        ["r", "s"].map((requestId) => ({ type: "llm-error", payload: { error, feedId: FEED, requestId } })),
      );
    }
    // For the next row.
    await fixture.addFeed(FEED, "acme", { isPublic: true });
    await fixture.register("session", "sid_jwt", null);
  });

  it("but goes on with another credential of the same account", async () => {
    const answer = Promise.withResolvers<void>();
    await intelligence(async () => {
      await answer.promise;
      return ANSWER;
    });
    const socket = await login();
    socket.send(question());
    await socket.ask(msg("authenticate", { apiKey: "llm" }));
    answer.resolve();
    await socket.received("llm-complete", 1);
  });
});

describe("toggle-auto-analysis", () => {
  it("is intelligence's business, and told when it is done", async () => {
    const calls: unknown[] = [];
    await intelligence(async (call) => {
      calls.push(call);
      return { enabled: call.enabled };
    });
    const socket = await login();
    const replies = await socket.ask(
      msg("toggle-auto-analysis", { feedId: FEED, enabled: true }),
      msg("toggle-auto-analysis", { feedId: FEED, enabled: false }),
    );
    expect(replies).toEqual(
      [true, false].map((enabled) => JSON.stringify({ type: "auto-analysis-toggled", payload: { feedId: FEED, enabled } })),
    );
    const call = { v: 1, callId: expect.any(String), kind: "toggle-auto-analysis", caller: CALLER, feedId: FEED, stream: false };
    expect(calls).toEqual([true, false].map((enabled) => ({ ...call, enabled })));
  });

  it("fails with the service's text, and is never asked for others' feeds", async () => {
    let calls = 0;
    await intelligence(() => {
      calls++;
      return Promise.reject(new LlmFailure(503, "service unavailable"));
    });
    const socket = await login();
    expect(
      await socket.ask(
        msg("toggle-auto-analysis", { feedId: FOREIGN, enabled: true }),
        msg("toggle-auto-analysis", { feedId: FEED, enabled: true }),
      ),
    ).toEqual(
      [
        [FOREIGN, SOCKET_ERRORS.forbidden],
        [FEED, "service unavailable"],
      ].map(([feedId, error]) => JSON.stringify({ type: "llm-error", payload: { error, feedId } })),
    );
    expect(calls).toBe(1);
  });
});

it("a client that takes nothing holds its own provider back, not its feed nor other sockets", async () => {
  const word = "x".repeat(4_096);
  let sent = 0;
  const fake = await intelligence(async (call, out) => {
    if (call.question === "quick") return ANSWER;
    for (; sent < 20_000; sent++) await out.token(word);
    return ANSWER;
  });
  const slow = await login();
  slow.ws.pause();
  slow.send(question());
  let stood = { at: -1, looks: 0 };
  // The kernel's buffers, the socket's share and the credit are all that may be on their way.
  await until("the provider waits", async () => {
    await fixture.client.flush();
    stood = sent === stood.at ? { at: sent, looks: stood.looks + 1 } : { at: sent, looks: 0 };
    return sent > 0 && stood.looks === 20;
  });
  expect(sent).toBeLessThan(4_000);
  expect(Number(edge.service.status()["queuedBytes"])).toBeLessThan(1024 * 1024);
  const other = await login();
  other.send(msg("llm-query", { feedId: FEED, question: "quick" }));
  await other.received("llm-response", 1);
  slow.ws.terminate();
  await until("the work ends with its socket", () => fake.running() === 0);
});

it("an intelligence that dies in the middle costs the client one error", async () => {
  const fake = await fixture.serveLlm(async (_call, out) => {
    await out.token("half");
    return aborted(out.signal);
  });
  const socket = await login();
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    socket.send(question());
    await socket.received("llm-token", 1);
    // Says no goodbye to its calls.
    await fake.nats.drain();
    vi.advanceTimersByTime(LLM_ALIVE_MS * 3 - 1);
    expect(await socket.ask()).toEqual([]);
    vi.advanceTimersByTime(1);
    await socket.received("llm-error", 1);
  } finally {
    vi.useRealTimers();
  }
  expect(socket.of("llm-error")[0]?.payload).toEqual({ error: "request timed out", feedId: FEED, requestId: "r" });
  expect(await socket.reply(question("again"))).toContain(SOCKET_ERRORS.llm_off);
});

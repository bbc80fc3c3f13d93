/** `/api/llm/*` over real HTTP, NATS and PostgreSQL, with a local provider: every answer and every refusal by status and exact text. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { connect } from "node:net";
import { feedKeys, laneOf } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { ALICE, BOB, feedRecord, type Instance, IntelligenceFixture } from "../testing/intelligence-fixture.ts";

const PUBLIC = "65f789abc1230a1b2c3d4e5f";
const PRIVATE = "65f789abc1230a1b2c3d4e60";
const EMPTY = "65f789abc1230a1b2c3d4e61";
const NO_DATA = /^No data available for this feed yet/;

let fixture: IntelligenceFixture;
let main: Instance;

beforeAll(async () => {
  fixture = await IntelligenceFixture.open(inject("databaseUrl"));
  await fixture.feed(feedRecord(PUBLIC));
  await fixture.feed(feedRecord(PRIVATE, { isPublic: false }));
  await fixture.feed(feedRecord(EMPTY));
  await fixture.put(
    { feedId: PUBLIC, topic: "BTC", json: '{"price":"101.5","seq":18446744073709551615}', ts: 1_769_788_800_000 },
    { feedId: PUBLIC, topic: "ETH", json: '{"price":"7.25"}', ts: 1_769_788_800_500 },
  );
  await fixture.put({ feedId: PRIVATE, topic: "X", json: '{"secret":"canary-private"}' });
  main = await fixture.start();
});
beforeEach(async () => {
  fixture.provider.behave({ kind: "answer" });
  fixture.usage.clear();
  await main.service.settled();
});
afterAll(() => fixture.close());

const query = (body: unknown, token: string | undefined = ALICE, at = main, path = "/api/llm/query") =>
  fixture.ask(at, "POST", path, { body, ...(token === undefined ? {} : { token }) });
const stream = (body: unknown, accept?: string, at = main, token = ALICE) =>
  fixture.ask(at, "POST", "/api/llm/query/stream", { body, token, ...(accept === undefined ? {} : { accept }) });
const refused = (message: string, code: string): string => JSON.stringify({ success: false, message, error: message, code });
const question = { feedId: PUBLIC, question: "What is new?" };
const lastPrompt = (): string => JSON.stringify(fixture.provider.calls().at(-1)?.body);

describe("POST /api/llm/query", () => {
  it("answers with what the provider said and counted", async () => {
    const answer = await query(question);
    expect(answer.status).toBe(200);
    const body = JSON.parse(answer.text) as Record<string, unknown>;
    expect(body).toEqual({
      answer: "Prices are rising.",
      provider: "openai",
      feedId: PUBLIC,
      tokensUsed: 150,
      durationMs: expect.any(Number),
    });
    // Both topics, each with its name, numbers as they were written.
    expect(lastPrompt()).toContain("BTC");
    expect(lastPrompt()).toContain("ETH");
    expect(lastPrompt()).toContain("18446744073709551615");
  });

  it.each([{ topic: "ETH" }, { feedId: `${PUBLIC}:ETH` }])("is about one topic with %j", async (change) => {
    expect((await query({ ...question, ...change })).status).toBe(200);
    expect(lastPrompt()).toContain("7.25");
    expect(lastPrompt()).not.toContain("101.5");
  });

  it("asks the builtin analyst by name, at no cost", async () => {
    const answer = await query({ ...question, provider: "builtin", topic: "BTC" });
    const body = JSON.parse(answer.text) as Record<string, unknown>;
    expect(body["provider"]).toBe("builtin");
    expect(body["answer"]).toMatch(/^Builtin analysis of /);
    expect(body).not.toHaveProperty("tokensUsed");
    expect(fixture.usage.size).toBe(0);
  });

  it("waits for a provider longer than other requests may take (W2)", async () => {
    // Who asks and how much he may ask is found out within this time; only the provider takes longer.
    const hurried = await fixture.start({ REQUEST_TIMEOUT_MS: "1500" }, "intelligence-1");
    try {
      fixture.provider.behave({ kind: "answer", delayMs: 2_000 });
      const answer = await query(question, ALICE, hurried);
      expect([answer.status, JSON.parse(answer.text)]).toMatchObject([200, { answer: "Prices are rising." }]);
      expect(JSON.parse(answer.text)).toMatchObject({ durationMs: expect.toSatisfy((ms: number) => ms > 1_900) });
    } finally {
      await hurried.stop();
    }
  });

  it("says that there is no data, and asks nobody", async () => {
    const before = fixture.provider.calls().length;
    for (const body of [
      { ...question, feedId: EMPTY },
      { ...question, topic: "never seen" },
    ]) {
      const answer = await query(body);
      const parsed = JSON.parse(answer.text) as { answer: string };
      expect(answer.status).toBe(200);
      expect(parsed).toEqual({
        answer: expect.stringMatching(NO_DATA),
        provider: "none",
        feedId: body.feedId,
        durationMs: expect.any(Number),
      });
    }
    expect(fixture.provider.calls()).toHaveLength(before);
  });

  it.each([
    [{}, "feedId is required", "FEED_ID_REQUIRED"],
    [{ feedId: " ", question: "x" }, "feedId is required", "FEED_ID_REQUIRED"],
    [{ feedId: null, question: "x" }, "feedId is required", "FEED_ID_REQUIRED"],
    [{ feedId: PUBLIC }, "question is required", "QUESTION_REQUIRED"],
    [{ feedId: PUBLIC, question: "  " }, "question is required", "QUESTION_REQUIRED"],
    [{ feedId: PUBLIC, question: "x".repeat(4_001) }, "question is too long", "QUESTION_TOO_LONG"],
    [{ ...question, systemPrompt: "x".repeat(8_001) }, "systemPrompt is too long", "SYSTEM_PROMPT_TOO_LONG"],
    [{ feedId: 5, question: "x" }, "invalid payload", "INVALID_PAYLOAD"],
    [{ feedId: PUBLIC, question: ["x"] }, "invalid payload", "INVALID_PAYLOAD"],
    ["nonsense", "invalid payload", "INVALID_PAYLOAD"],
    [{ ...question, provider: "anthropic" }, "provider 'anthropic' not configured", "PROVIDER_NOT_CONFIGURED"],
    [{ ...question, provider: "skynet" }, "provider 'skynet' not configured", "PROVIDER_NOT_CONFIGURED"],
  ])("400 for %j", async (body, message, code) => {
    const answer = await query(body);
    expect([answer.status, answer.text]).toEqual([400, refused(message, code)]);
    const streamed = await stream(body);
    expect([streamed.status, streamed.text]).toEqual([400, refused(message, code)]);
  });

  it.each(["/api/llm/query", "/api/llm/query/stream", "/api/llm/analyze"])("401 without a login: %s", async (path) => {
    const ask = (token?: string) => fixture.ask(main, "POST", path, { body: question, ...(token === undefined ? {} : { token }) });
    expect((await ask()).text).toBe(refused("missing token", "MISSING_TOKEN"));
    expect([(await ask("mallory.token.x")).status, (await ask("mallory.token.x")).text]).toEqual([
      401,
      refused("invalid token", "INVALID_TOKEN"),
    ]);
  });

  it("404, the same for an unknown feed and a private one of somebody else", async () => {
    for (const feedId of ["65f789abc1230a1b2c3d4eff", PRIVATE, "not-an-id"]) {
      for (const path of ["/api/llm/query", "/api/llm/query/stream", "/api/llm/analyze"]) {
        const answer = await query({ ...question, feedId }, BOB, main, path);
        expect([answer.status, answer.text]).toEqual([404, refused("Feed not found", "FEED_NOT_FOUND")]);
      }
    }
    expect((await query({ ...question, feedId: PRIVATE })).status).toBe(200);
  });

  it.each([
    ["hangs", { kind: "hang" }, 504, "openai timed out", "PROVIDER_TIMED_OUT"],
    ["answers 500", { kind: "status", status: 500 }, 502, /^openai error: /, "PROVIDER_ERROR"],
    [
      "answers 429 with a long wait",
      { kind: "status", status: 429, headers: { "retry-after": "60" } },
      502,
      /^openai error: /,
      "PROVIDER_ERROR",
    ],
    ["sends garbage", { kind: "garbage" }, 502, /^openai error: /, "PROVIDER_ERROR"],
    ["says nothing", { kind: "empty" }, 502, /^openai error: /, "PROVIDER_ERROR"],
  ] as const)("tells when the provider %s", async (_name, behaviour, status, message, code) => {
    const instance = await fixture.start({ LLM_TIMEOUT_MS: "1000" }, "intelligence-1");
    try {
      fixture.provider.behave(behaviour);
      for (const path of ["/api/llm/query", "/api/llm/query/stream", "/api/llm/analyze"]) {
        const answer = await query(question, ALICE, instance, path);
        const body = JSON.parse(answer.text) as Record<string, string>;
        expect([answer.status, body["code"]]).toEqual([status, code]);
        expect(body["message"]).toMatch(message);
        expect(body["error"]).toBe(body["message"]);
        // Its own words may quote the prompt or the key.
        expect(answer.text).not.toContain("own words");
      }
    } finally {
      await instance.stop();
    }
  });

  it("503 in each path's words when no provider is configured", async () => {
    const instance = await fixture.start({ OPENAI_API_KEY: "", LLM_BUILTIN: "off" }, "intelligence-1");
    try {
      const long = "No LLM providers configured. Please set API keys in environment variables.";
      const short = "No LLM providers configured";
      for (const [path, message] of [
        ["/api/llm/query", long],
        ["/api/llm/query/stream", short],
        ["/api/llm/analyze", short],
      ] as const) {
        const answer = await query(question, ALICE, instance, path);
        expect([answer.status, answer.text]).toEqual([503, refused(message, "NO_PROVIDERS")]);
      }
      const providers = await fixture.ask(instance, "GET", "/api/llm/providers");
      expect(JSON.parse(providers.text)).toEqual({ enabled: false, providers: [], models: {} });
      expect(instance.service.health()).toMatchObject({ status: "up", checks: { llm: { ok: false } } });
    } finally {
      await instance.stop();
    }
  });
});

describe("quota and limits (W19)", () => {
  it("counts what each way of asking used, once, for who asked", async () => {
    await query(question, BOB);
    await stream(question, undefined, main, BOB);
    await query({ feedId: PUBLIC }, BOB, main, "/api/llm/analyze");
    expect(fixture.usageOf("bob").tokensUsed).toBe(450);
    expect(fixture.usageOf("alice").tokensUsed).toBe(0);
  });

  it("429 when the month is used up without overdraft; with it the counter goes on", async () => {
    const instance = await fixture.start({}, "intelligence-1");
    try {
      Object.assign(fixture.usageOf("bob"), { tokensUsed: 1_000, limit: 1_000, overdraftAllowed: false });
      const before = fixture.provider.calls().length;
      for (const path of ["/api/llm/query", "/api/llm/query/stream", "/api/llm/analyze"]) {
        const answer = await query(question, BOB, instance, path);
        expect([answer.status, answer.text]).toEqual([429, refused("token quota exceeded", "TOKEN_QUOTA_EXCEEDED")]);
      }
      expect(fixture.provider.calls()).toHaveLength(before);
      // What costs nothing is not refused.
      expect((await query({ ...question, provider: "builtin" }, BOB, instance)).status).toBe(200);
      Object.assign(fixture.usageOf("alice"), { tokensUsed: 1_000, limit: 1_000, overdraftAllowed: true });
      expect((await query(question, ALICE, instance)).status).toBe(200);
      expect(fixture.usageOf("alice").tokensUsed).toBe(1_150);
    } finally {
      await instance.stop();
    }
  });

  it("ends overdraft at the operator's hard limit", async () => {
    const instance = await fixture.start({ TOKEN_OVERDRAFT_HARD_LIMIT: "1.5" }, "intelligence-1");
    try {
      Object.assign(fixture.usageOf("bob"), { tokensUsed: 1_500, limit: 1_000, overdraftAllowed: true });
      expect((await query(question, BOB, instance)).status).toBe(429);
    } finally {
      await instance.stop();
    }
  });

  it("429 for more calls at once than a tenant may have, while others are answered", async () => {
    const instance = await fixture.start({ LLM_TENANT_CONCURRENCY: "2", LLM_MAX_CONCURRENCY: "4" }, "intelligence-1");
    try {
      fixture.provider.behave({ kind: "hang" }, { kind: "hang" }, { kind: "answer" });
      const before = fixture.provider.calls().length;
      const gone = [new AbortController(), new AbortController()];
      const hanging = gone.map(({ signal }) =>
        fetch(`${instance.url}/api/llm/query`, {
          method: "POST",
          headers: { Authorization: `Bearer ${ALICE}` },
          body: JSON.stringify(question),
          signal,
        }).then(
          () => "answered",
          () => "gone",
        ),
      );
      await until("two calls hang", () => fixture.provider.calls().length === before + 2);
      const third = await query(question, ALICE, instance);
      expect([third.status, third.text]).toEqual([429, refused("too many concurrent queries", "TOO_MANY_CONCURRENT_QUERIES")]);
      expect((await query(question, BOB, instance)).status).toBe(200);
      for (const controller of gone) controller.abort();
      expect(await Promise.all(hanging)).toEqual(["gone", "gone"]);
      await until("the places are free again", async () => (await query(question, ALICE, instance)).status === 200);
    } finally {
      await instance.stop();
    }
  });

  it("429 with the time to wait for more questions a minute than allowed", async () => {
    const instance = await fixture.start({ LLM_REQUESTS_PER_MINUTE: "1", LLM_REQUEST_BURST: "2" }, "intelligence-1");
    try {
      const bodies = { ...question, provider: "builtin" };
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push(await query(bodies, BOB, instance));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
      const last = JSON.parse(answers[2]?.text ?? "") as Record<string, unknown>;
      expect(last).toMatchObject({
        message: "Rate limit exceeded. Please try again later.",
        error: "too_many_requests",
        code: "RATE_LIMITED",
      });
      expect(Number(answers[2]?.headers.get("retry-after"))).toBeGreaterThan(1);
    } finally {
      await instance.stop();
    }
  });

  it("503 for calls that cost while nobody can tell the usage; free ones go on", async () => {
    const instance = await fixture.start({}, "intelligence-1");
    fixture.isUsageAway = true;
    try {
      const answer = await query(question, BOB, instance);
      expect([answer.status, answer.text]).toEqual([503, refused("service unavailable", "SERVICE_UNAVAILABLE")]);
      expect((await query({ ...question, provider: "builtin" }, BOB, instance)).status).toBe(200);
    } finally {
      fixture.isUsageAway = false;
      await instance.stop();
    }
  });
});

describe("POST /api/llm/query/stream", () => {
  it("writes one event per piece, then the end, byte for byte (W32)", async () => {
    fixture.provider.behave({ kind: "answer", pieces: ["Up", " 2%", "\nand  so", " on\r\n"] });
    const answer = await stream(question);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(answer.headers.get("x-accel-buffering")).toBe("no");
    const durationMs = /"durationMs":(\d+)/.exec(answer.text)?.[1] ?? "";
    expect(answer.text).toBe(
      [
        "event: token\ndata: Up\n\n",
        "event: token\ndata:  2%\n\n",
        "event: token\ndata: \ndata: and  so\n\n",
        "event: token\ndata:  on\ndata: \n\n",
        `event: done\ndata: {"provider":"openai","feedId":"${PUBLIC}","tokensUsed":150,"durationMs":${durationMs}}\n\n`,
      ].join(""),
    );
  });

  it("writes bare text for who accepts nothing else", async () => {
    fixture.provider.behave({ kind: "answer", pieces: ["Up", " 2%", "\n"] });
    const answer = await stream(question, "text/plain");
    expect([answer.headers.get("content-type"), answer.text]).toEqual(["text/plain; charset=utf-8", "Up 2%\n"]);
  });

  it("says that there is no data as one token", async () => {
    const { text } = await stream({ ...question, feedId: EMPTY });
    expect(text).toMatch(
      /^event: token\ndata: No data available for this feed yet[^\n]*\n\nevent: done\ndata: \{"provider":"none","feedId":"[^"]+","durationMs":\d+\}\n\n$/,
    );
  });

  it.each([false, true])("tells of half an answer after its first words (quietly: %s), and bills what was said (W20)", async (quietly) => {
    fixture.provider.behave({ kind: "half", pieces: ["Half an "], quietly });
    const { status, text } = await stream(question, undefined, main, BOB);
    expect(status).toBe(200);
    expect(text).toMatch(/^event: token\ndata: Half an \n\nevent: error\ndata: \{"error":"openai error: [^"]+"\}\n\n$/);
    expect(fixture.usageOf("bob").tokensUsed).toBeGreaterThan(0);
  });

  it("cuts bare text that cannot be completed", async () => {
    fixture.provider.behave({ kind: "half", pieces: ["Half an "] });
    await expect(stream(question, "text/plain")).rejects.toThrow();
  });

  it("ends the provider's call within a second when the reader leaves (W29)", async () => {
    fixture.provider.behave({ kind: "endless", piece: "word " });
    const before = fixture.provider.calls().length;
    const gone = new AbortController();
    const answer = await fetch(`${main.url}/api/llm/query/stream`, {
      method: "POST",
      headers: { Authorization: `Bearer ${BOB}` },
      body: JSON.stringify(question),
      signal: gone.signal,
    });
    const reader = answer.body?.getReader();
    await reader?.read();
    const left = performance.now();
    gone.abort();
    await until("the provider's call has ended", () => fixture.provider.calls()[before]?.isAbandoned === true, 1_000);
    expect(performance.now() - left).toBeLessThan(1_000);
    // What was said until then was spent.
    await until("it is billed", () => fixture.usageOf("bob").tokensUsed > 0);
  });

  it("ends the provider's call when the caller of a whole answer leaves", async () => {
    fixture.provider.behave({ kind: "hang" });
    const before = fixture.provider.calls().length;
    const socket = connect(Number(new URL(main.url).port), "127.0.0.1");
    const body = JSON.stringify(question);
    socket.write(
      `POST /api/llm/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ALICE}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until("the provider is asked", () => fixture.provider.calls().length === before + 1);
    socket.destroy();
    await until("the provider's call has ended", () => fixture.provider.calls()[before]?.isAbandoned === true, 1_000);
  });
});

describe("POST /api/llm/analyze", () => {
  it("asks the general question, or the caller's", async () => {
    expect((await query({ feedId: PUBLIC }, ALICE, main, "/api/llm/analyze")).status).toBe(200);
    expect(lastPrompt()).toContain("patterns, trends and anomalies");
    await query({ feedId: PUBLIC, customPrompt: "Only count them" }, ALICE, main, "/api/llm/analyze");
    expect(lastPrompt()).toContain("Only count them");
  });
});

describe("GET /api/llm/providers", () => {
  it("lists who can be asked without a login", async () => {
    const answer = await fixture.ask(main, "GET", "/api/llm/providers");
    expect(answer.text).toBe(
      '{"enabled":true,"providers":["openai","builtin"],"default":"openai","models":{"openai":"gpt-4o","builtin":"builtin-1"}}',
    );
  });
});

describe("an Ollama that was found", () => {
  it("is listed behind the builtin analyst and answers who names it", async () => {
    const found = await fixture.start({ OPENAI_API_KEY: "", OLLAMA_DISCOVERY_URL: fixture.provider.url }, "intelligence-1");
    const list = async (): Promise<string> => (await fixture.ask(found, "GET", "/api/llm/providers")).text;
    try {
      await until("it is listed", async () => (await list()).includes("ollama"));
      expect(await list()).toBe(
        '{"enabled":true,"providers":["builtin","ollama"],"default":"builtin","models":{"builtin":"builtin-1","ollama":"llama3.2"}}',
      );
      const before = fixture.provider.calls("ollama").length;
      const asked = async (provider?: string): Promise<Record<string, unknown>> => {
        const answer = await query({ ...question, ...(provider === undefined ? {} : { provider }) }, ALICE, found);
        return JSON.parse(answer.text) as Record<string, unknown>;
      };
      expect(await asked("ollama")).toMatchObject({ provider: "ollama", answer: "Prices are rising." });
      expect(await asked()).toMatchObject({ provider: "builtin" });
      expect(fixture.provider.calls("ollama")).toHaveLength(before + 1);
    } finally {
      await found.stop();
    }
  });
});

describe("/api/llm/context (W40)", () => {
  const context = (path: string, token = ALICE, method = "GET") => fixture.ask(main, method, `/api/llm/context/${path}`, { token });

  it("shows the messages as they came, newest first, with their time", async () => {
    const answer = await context(PUBLIC, BOB);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(answer.text).toBe(
      `{"feedId":"${PUBLIC}","feedName":"feed ${PUBLIC}","entries":[{"_timestamp":"2026-01-30T16:00:00.500Z","_topic":"ETH","price":"7.25"},` +
        `{"_timestamp":"2026-01-30T16:00:00.000Z","_topic":"BTC","price":"101.5","seq":18446744073709551615}],` +
        `"entryCount":2,"hasContext":true,"updatedAt":"2026-01-30T16:00:00.500Z"}`,
    );
    const one = JSON.parse((await context(`${PUBLIC}?topic=ETH`)).text) as { entries: unknown[] };
    expect(one.entries).toEqual([{ price: "7.25", _timestamp: "2026-01-30T16:00:00.500Z" }]);
  });

  it("says when there is nothing", async () => {
    expect((await context(EMPTY)).text).toBe(`{"feedId":"${EMPTY}","entries":[],"entryCount":0,"hasContext":false}`);
  });

  it("is not for strangers to see, nor for anybody but the owner to clear", async () => {
    for (const method of ["GET", "DELETE"]) {
      const answer = await context(PRIVATE, BOB, method);
      expect([answer.status, answer.text]).toEqual([404, refused("Feed not found", "FEED_NOT_FOUND")]);
    }
    const answer = await context(PUBLIC, BOB, "DELETE");
    expect([answer.status, answer.text]).toEqual([403, refused("not authorized", "NOT_AUTHORIZED")]);
    expect((await fixture.ask(main, "DELETE", `/api/llm/context/${PUBLIC}`)).status).toBe(401);
    expect(JSON.parse((await context(PUBLIC)).text)).toMatchObject({ hasContext: true });
  });

  it("is cleared by the owner, one topic or all, and stays so", async () => {
    const feedId = "65f789abc1230a1b2c3d4e70";
    await fixture.feed(feedRecord(feedId));
    await fixture.put({ feedId, topic: "A", json: '{"a":1}' }, { feedId, topic: "B", json: '{"b":1}' });
    await main.service.settled();
    expect((await query({ feedId, question: "first question?" })).status).toBe(200);
    const answer = await context(`${feedId}?topic=A`, ALICE, "DELETE");
    expect([answer.status, answer.text]).toEqual([200, `{"message":"context cleared","feedId":"${feedId}"}`]);
    expect(JSON.parse((await context(feedId)).text)).toMatchObject({ entryCount: 1 });
    expect((await context(feedId, ALICE, "DELETE")).status).toBe(200);
    expect(JSON.parse((await context(feedId)).text)).toMatchObject({ hasContext: false });
    await fixture.put({ feedId, topic: "B", json: '{"b":2}' });
    await main.service.settled();
    await main.stop();
    main = await fixture.start();
    const after = JSON.parse((await context(feedId)).text) as { entries: unknown[] };
    expect(after.entries).toEqual([{ b: 2, _topic: "B", _timestamp: expect.any(String) }]);
    await query({ feedId, question: "second?" });
    expect(lastPrompt()).not.toContain("first question?");
  });
});

describe("isolation (W22)", () => {
  it("keeps a person's earlier questions out of everybody else's prompts", async () => {
    const feedId = "65f789abc1230a1b2c3d4e71";
    await fixture.feed(feedRecord(feedId));
    await fixture.put({ feedId, topic: "A", json: '{"a":1}' });
    await main.service.settled();
    fixture.provider.behave({ kind: "answer", pieces: ["canary-answer"] });
    await query({ feedId, question: "canary-question?" });
    await query({ feedId, question: "and now?" });
    expect(lastPrompt()).toContain("canary-question?");
    expect(lastPrompt()).toContain("canary-answer");
    await query({ feedId, topic: "A", question: "and now?" });
    expect(lastPrompt()).not.toContain("canary");
    await query({ feedId, question: "and now?" }, BOB);
    expect(lastPrompt()).not.toContain("canary");
  });

  it("pushes an answer to the listeners of the feed only when its owner asked and did not say no", async () => {
    const feedId = "65f789abc1230a1b2c3d4e72";
    await fixture.feed(feedRecord(feedId));
    await fixture.put({ feedId, topic: "A", json: '{"a":1}' });
    await main.service.settled();
    await query({ feedId, question: "x" }, BOB);
    await query({ feedId, question: "x", broadcast: false });
    await query({ feedId, question: "x" });
    const told = (await fixture.analyses()).filter(({ key }) => key === feedKeys.llm(feedId));
    expect(told.map(({ wire }) => wire)).toEqual([
      { type: "llm-broadcast", payload: { feedId, answer: "Prices are rising.", provider: "openai", timestamp: expect.any(String) } },
    ]);
  });
});

describe("several instances", () => {
  it("answer about each other's feeds, and share memory and contexts", async () => {
    const other = await fixture.start({}, "intelligence-1");
    try {
      // Ids until every instance owns some of them.
      const ids = Array.from({ length: 16 }, (_, i) => `65f789abc1230a1b2c3d5e${i.toString(16).padStart(2, "0")}`);
      for (const id of ids) {
        await fixture.feed(feedRecord(id));
        await fixture.put({ feedId: id, topic: "A", json: `{"id":"${id}"}` });
      }
      await until("the lanes are shared", () =>
        [main, other].every(({ service }) => {
          const lanes = service.status()["lanes"] as { state: string }[];
          return lanes.length === 8 && lanes.every(({ state }) => state === "live");
        }),
      );
      await Promise.all([main.service.settled(), other.service.settled()]);
      expect(new Set(ids.map((id) => laneOf(id))).size).toBeGreaterThan(4);
      for (const id of ids) {
        for (const instance of [main, other]) {
          const answer = await query({ feedId: id, question: `about ${id}?`, broadcast: false }, ALICE, instance);
          expect(JSON.parse(answer.text)).toMatchObject({ provider: "openai", feedId: id });
          expect(lastPrompt()).toContain(id);
        }
        // Asked by one instance, remembered for the other.
        expect(lastPrompt()).toContain("Previous analyses");
      }
    } finally {
      await other.stop();
    }
  });
});

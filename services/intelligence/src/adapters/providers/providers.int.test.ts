import { type LlmServer, startLlmServer, until } from "@headwater/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CompletionRequest, Provider } from "../../domain/provider.ts";
import { ProviderError } from "../../domain/provider.ts";
import { boundedFetch } from "./bounded-fetch.ts";
import { PROVIDER_ROWS } from "./index.ts";

/** One row per provider: how it is pointed at the test server, and what its request must look like. */
const ROWS = [
  {
    id: "azure-openai",
    env: (url: string) => ({ AZURE_OPENAI_ENDPOINT: url, AZURE_OPENAI_API_KEY: "secret-1", AZURE_OPENAI_DEPLOYMENT_NAME: "dep" }),
    path: "/openai/deployments/dep/chat/completions?api-version=2024-02-15-preview",
    header: ["api-key", "secret-1"],
  },
  {
    id: "openai",
    env: (url: string) => ({ OPENAI_API_KEY: "secret-1", OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: "dep" }),
    path: "/v1/chat/completions",
    header: ["authorization", "Bearer secret-1"],
  },
  {
    id: "anthropic",
    env: (url: string) => ({ ANTHROPIC_API_KEY: "secret-1", ANTHROPIC_BASE_URL: url, ANTHROPIC_MODEL: "dep" }),
    path: "/v1/messages",
    header: ["x-api-key", "secret-1"],
  },
  {
    id: "gemini",
    env: (url: string) => ({ GOOGLE_API_KEY: "secret-1", GOOGLE_BASE_URL: url, GOOGLE_MODEL: "dep" }),
    path: "/v1beta/models/dep:generateContent",
    header: ["x-goog-api-key", "secret-1"],
  },
  {
    id: "mistral",
    env: (url: string) => ({ MISTRAL_API_KEY: "secret-1", MISTRAL_BASE_URL: `${url}/v1`, MISTRAL_MODEL: "dep" }),
    path: "/v1/chat/completions",
    header: ["authorization", "Bearer secret-1"],
  },
  {
    id: "grok",
    env: (url: string) => ({ XAI_API_KEY: "secret-1", XAI_BASE_URL: `${url}/v1`, XAI_MODEL: "dep" }),
    path: "/v1/chat/completions",
    header: ["authorization", "Bearer secret-1"],
  },
  {
    id: "ollama",
    env: (url: string) => ({ OLLAMA_BASE_URL: url, OLLAMA_MODEL: "dep" }),
    path: "/api/chat",
    header: ["content-type", "application/json"],
  },
] as const;

let server: LlmServer;
beforeAll(async () => {
  server = await startLlmServer({ inputTokens: 120, outputTokens: 30 });
});
afterAll(() => server.stop());
beforeEach(() => server.behave({ kind: "answer" }));

function open(row: (typeof ROWS)[number], fetcher: typeof fetch = boundedFetch()): Provider {
  const configured = PROVIDER_ROWS.find(({ id }) => id === row.id)?.configure(row.env(server.url));
  if (configured === undefined) throw new Error(`${row.id} is not configured`);
  return configured.open({ fetch: fetcher, now: () => Date.parse("2026-01-30T00:00:00Z") });
}

const request = (over: Partial<CompletionRequest> = {}): CompletionRequest => ({
  system: "You are brief.",
  messages: [
    { role: "user", content: "before" },
    { role: "assistant", content: "answered" },
    { role: "user", content: "What is new?" },
  ],
  maxTokens: 77,
  temperature: 0.3,
  signal: new AbortController().signal,
  material: { feedName: "f", question: "What is new?", entries: [] },
  ...over,
});

async function failure(call: Promise<unknown>): Promise<ProviderError> {
  const error: unknown = await call.then(
    () => new Error("it answered"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProviderError)) throw error;
  return error;
}
const lastCall = () => server.calls().at(-1);

it("has a row for every provider with a network", () => {
  expect(PROVIDER_ROWS.map(({ id }) => id).filter((id) => id !== "builtin")).toEqual(ROWS.map(({ id }) => id));
});

describe.each(ROWS)("$id", (row) => {
  it("asks as its protocol says and counts what the provider counted", async () => {
    const completion = await open(row).complete(request());
    expect(completion).toEqual({
      text: "Prices are rising.",
      usage: { inputTokens: 120, outputTokens: 30, totalTokens: 150, estimated: false },
      model: "dep",
    });
    const call = lastCall();
    expect(call?.path).toBe(row.path);
    expect(call?.headers[row.header[0]]).toBe(row.header[1]);
    expect(call?.path).not.toContain("secret");
    expect(call?.stream).toBe(false);
    const body = JSON.stringify(call?.body);
    for (const part of ["You are brief.", "before", "answered", "What is new?", "77", "0.3"]) expect(body).toContain(part);
  });

  it("streams pieces in order and counts them exactly", async () => {
    const pieces: string[] = [];
    const completion = await open(row).complete(request({ onToken: (piece) => pieces.push(piece) }));
    expect(pieces).toEqual(["Prices ", "are", " rising."]);
    expect(completion.text).toBe("Prices are rising.");
    expect(completion.usage).toEqual({ inputTokens: 120, outputTokens: 30, totalTokens: 150, estimated: false });
    expect(lastCall()?.stream).toBe(true);
  });

  it.each([true, false])("says that it was rate limited, and for how long (streaming: %s)", async (isStream) => {
    server.behave({ kind: "status", status: 429, headers: { "retry-after": "7" } });
    const error = await failure(open(row).complete(request(isStream ? { onToken: () => undefined } : {})));
    expect(error).toMatchObject({ code: "rate_limited", status: 429, retryAfterMs: 7_000, message: "rate limited" });
  });

  it("understands Retry-After as a date", async () => {
    server.behave({ kind: "status", status: 429, headers: { "retry-after": "Fri, 30 Jan 2026 00:00:09 GMT" } });
    expect((await failure(open(row).complete(request()))).retryAfterMs).toBe(9_000);
  });

  it.each([500, 503, 400, 401, 404])("says HTTP %i without the provider's words", async (status) => {
    server.behave({ kind: "status", status });
    const error = await failure(open(row).complete(request()));
    expect(error).toMatchObject({ code: "http", status, message: status === 401 ? "credentials refused" : `HTTP ${status}` });
    expect(server.calls().length).toBeGreaterThan(0);
  });

  it("asks once: retries are decided elsewhere", async () => {
    server.behave({ kind: "status", status: 500 });
    const before = server.calls().length;
    await failure(open(row).complete(request()));
    expect(server.calls().length).toBe(before + 1);
  });

  it.each([true, false])("refuses garbage (streaming: %s)", async (isStream) => {
    server.behave({ kind: "garbage" });
    const error = await failure(open(row).complete(request(isStream ? { onToken: () => undefined } : {})));
    expect(error.code).toBe("bad_answer");
    expect(error.message).toMatch(/^(?:unreadable|empty) answer$/);
  });

  it.each([true, false])("refuses an empty answer (streaming: %s)", async (isStream) => {
    server.behave({ kind: "empty" });
    const error = await failure(open(row).complete(request(isStream ? { onToken: () => undefined } : {})));
    expect(error).toMatchObject({ code: "bad_answer", message: "empty answer" });
  });

  it.each([true, false])("notices half a stream (ended quietly: %s)", async (quietly) => {
    server.behave({ kind: "half", quietly });
    const pieces: string[] = [];
    const error = await failure(open(row).complete(request({ onToken: (piece) => pieces.push(piece) })));
    expect(error).toMatchObject({ code: "bad_answer", message: "answer broke off" });
    expect(pieces.join("")).toBe("Half an ");
  });

  it("follows no redirect: the key stays where it belongs", async () => {
    server.behave({ kind: "status", status: 307, headers: { location: `${server.url}${row.path}` } });
    const before = server.calls().length;
    await failure(open(row).complete(request()));
    expect(server.calls().length).toBe(before + 1);
  });

  it("reads no more than the bound", async () => {
    server.behave({ kind: "endless", piece: "word ".repeat(100) });
    const error = await failure(open(row, boundedFetch(64 * 1024)).complete(request({ onToken: () => undefined })));
    expect(error.code).toBe("bad_answer");
    const call = lastCall();
    await until("the server saw us leave", () => call?.isAbandoned === true);
  });

  it.each(["hang", "slow tokens"])("leaves within a second when told to (%s)", async (kind) => {
    server.behave(kind === "hang" ? { kind: "hang" } : { kind: "answer", everyMs: 60_000 });
    const caller = new AbortController();
    const before = server.calls().length;
    const call = failure(open(row).complete(request({ signal: caller.signal, onToken: () => undefined })));
    await until("the provider has the request", () => server.calls().length > before);
    const leftAt = performance.now();
    caller.abort();
    expect((await call).code).toBe("cancelled");
    await until("the server saw us leave", () => lastCall()?.isAbandoned === true);
    expect(performance.now() - leftAt).toBeLessThan(1_000);
  });
});

describe("chat completions", () => {
  const [azure, openai] = ROWS;

  it.each(["max_tokens", "temperature", "stream_options"])("does without %s when the model refuses it", async (param) => {
    server.behave(
      {
        kind: "status",
        status: 400,
        body: { error: { message: `Unsupported parameter: '${param}'`, code: "unsupported_parameter", param } },
      },
      { kind: "answer" },
    );
    const completion = await open(openai).complete(request({ onToken: () => undefined }));
    expect(completion.text).toBe("Prices are rising.");
    const body = lastCall()?.body ?? {};
    expect(body).not.toHaveProperty(param);
    expect("max_completion_tokens" in body).toBe(param === "max_tokens");
    expect(completion.usage.estimated).toBe(param === "stream_options");
  });

  it("understands how an old Azure API version refuses stream_options", async () => {
    const message = "Unrecognized request argument supplied: stream_options";
    server.behave({ kind: "status", status: 400, body: { error: { message, type: "invalid_request_error" } } }, { kind: "answer" });
    expect((await open(azure).complete(request({ onToken: () => undefined }))).text).toBe("Prices are rising.");
  });

  it("gives up when a parameter is refused twice", async () => {
    server.behave({ kind: "status", status: 400, body: { error: { message: "no", param: "temperature" } } });
    expect((await failure(open(openai).complete(request()))).status).toBe(400);
  });

  it("estimates only what the provider did not count", async () => {
    server.behave({ kind: "answer", pieces: ["12345678"], hasUsage: false });
    const { usage } = await open(openai).complete(request());
    expect(usage).toMatchObject({ outputTokens: 2, estimated: true });
    expect(usage.totalTokens).toBe(usage.inputTokens + 2);
  });

  it("says that nobody listens there", async () => {
    const configured = PROVIDER_ROWS.find(({ id }) => id === "openai")?.configure({
      OPENAI_API_KEY: "k",
      OPENAI_BASE_URL: "http://127.0.0.1:9",
    });
    const provider = configured?.open({ fetch: boundedFetch(), now: () => 0 });
    if (provider === undefined) throw new Error("not configured");
    expect(await failure(provider.complete(request()))).toMatchObject({ code: "unreachable", message: "not reachable" });
  });
});

it("anthropic: asks for the version of the contract, with no second credential", async () => {
  await open(ROWS[2]).complete(request());
  expect(lastCall()?.headers["anthropic-version"]).toBe("2023-06-01");
  expect(lastCall()?.headers.authorization).toBeUndefined();
});

it("anthropic: does without temperature when the model refuses it", async () => {
  server.behave(
    {
      kind: "status",
      status: 400,
      body: { type: "error", error: { type: "invalid_request_error", message: "`temperature` is deprecated for this model." } },
    },
    { kind: "answer" },
  );
  expect((await open(ROWS[2]).complete(request())).text).toBe("Prices are rising.");
  expect(lastCall()?.body).not.toHaveProperty("temperature");
});

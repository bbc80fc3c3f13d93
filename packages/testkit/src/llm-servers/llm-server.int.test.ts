import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { until } from "../until.ts";
import { type LlmServer, startLlmServer } from "./llm-server.ts";

let server: LlmServer;
beforeAll(async () => {
  server = await startLlmServer({ answer: () => ["a ", "b"], inputTokens: 7, outputTokens: 3 });
});
afterAll(() => server.stop());
beforeEach(() => server.behave({ kind: "answer" }));

const post = (path: string, body: unknown = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(server.url + path, { method: "POST", body: JSON.stringify(body), ...(signal ? { signal } : {}) });

const WIRES = [
  ["openai", "/v1/chat/completions", "/v1/chat/completions", "[DONE]"],
  ["anthropic", "/v1/messages", "/v1/messages", "message_stop"],
  ["gemini", "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse", '"finishReason":"STOP"'],
  ["ollama", "/api/chat", "/api/chat", '"done":true'],
] as const;

describe.each(WIRES)("%s", (protocol, path, streamPath, end) => {
  it("answers as a document with counts", async () => {
    const text = await (await post(path, { model: "m", stream: false })).text();
    expect(JSON.parse(text)).toBeTypeOf("object");
    for (const part of ["a b", "7", "3"]) expect(text).toContain(part);
    expect(server.calls().at(-1)).toMatchObject({ protocol, stream: false, isDone: true });
  });

  it("answers as a stream with counts and an end", async () => {
    const text = await (await post(streamPath, { model: "m", stream: true, stream_options: { include_usage: true } })).text();
    expect(text.indexOf('"a "')).toBeGreaterThan(-1);
    expect(text.indexOf('"b"')).toBeGreaterThan(text.indexOf('"a "'));
    expect(text.lastIndexOf(end)).toBeGreaterThan(text.indexOf('"b"'));
    expect(server.calls().at(-1)).toMatchObject({ protocol, stream: true });
  });

  it("breaks off half-way", async () => {
    server.behave({ kind: "half" });
    const response = await post(streamPath, { stream: true });
    await expect(response.text()).rejects.toThrow();
    server.behave({ kind: "half", quietly: true });
    expect(await (await post(streamPath, { stream: true })).text()).not.toContain(end);
  });
});

it("plays one behaviour per call, the last one for ever", async () => {
  server.behave({ kind: "status", status: 429, headers: { "retry-after": "3" } }, { kind: "garbage", text: "?" });
  const busy = await post("/api/chat");
  expect([busy.status, busy.headers.get("retry-after")]).toEqual([429, "3"]);
  expect(await (await post("/api/chat")).text()).toBe("?");
  expect(await (await post("/api/chat")).text()).toBe("?");
});

it("tells usage only when it is asked for, or counted at all", async () => {
  expect(await (await post("/v1/chat/completions", { stream: true })).text()).not.toContain("usage");
  server.behave({ kind: "answer", hasUsage: false });
  expect(await (await post("/v1/chat/completions", { stream: false })).text()).not.toContain("usage");
});

it("answers what it let hang when it is told to", async () => {
  const release = Promise.withResolvers<void>();
  server.behave({ kind: "hang", until: release.promise }, { kind: "status", status: 500 });
  let isAnswered = false;
  const waiting = post("/v1/chat/completions", {}).finally(() => (isAnswered = true));
  await until("it hangs", () => server.open() === 1);
  expect((await post("/v1/chat/completions", {})).status).toBe(500);
  expect(isAnswered).toBe(false);
  release.resolve();
  const answer = await waiting;
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain("a b");
});

it("counts calls at once, and sees callers leave", async () => {
  server.behave({ kind: "hang" });
  const callers = [new AbortController(), new AbortController()];
  const calls = callers.map(({ signal }) => expect(post("/api/chat", {}, signal)).rejects.toThrow());
  await until("both are open", () => server.open() === 2);
  expect(server.mostAtOnce()).toBeGreaterThanOrEqual(2);
  for (const caller of callers) caller.abort();
  await Promise.all(calls);
  await until("both are gone", () => server.open() === 0);
  expect(
    server
      .calls()
      .slice(-2)
      .map(({ isAbandoned }) => isAbandoned),
  ).toEqual([true, true]);
});

it("lists the models of an Ollama, and behaves there as it is told, too", async () => {
  const models = async (): Promise<unknown> => (await fetch(`${server.url}/api/tags`)).json();
  expect(await models()).toEqual({ models: [{ name: "llama3.2:latest", model: "llama3.2:latest" }] });
  server.behave({ kind: "answer", pieces: ["a", "b:7b"] });
  expect(await models()).toMatchObject({ models: [{ name: "a" }, { name: "b:7b" }] });
  server.behave({ kind: "status", status: 503 });
  expect((await fetch(`${server.url}/api/tags`)).status).toBe(503);
  server.behave({ kind: "half" });
  await expect(models()).rejects.toThrow();
  expect((await post("/api/tags")).status).toBe(404);
});

it("knows no other path and no other method", async () => {
  expect((await post("/v2/other")).status).toBe(404);
  expect((await fetch(`${server.url}/api/chat`)).status).toBe(404);
});

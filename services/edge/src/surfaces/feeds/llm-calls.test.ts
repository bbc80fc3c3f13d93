import type { LlmCallHooks, LlmClient, LlmOutcome, LlmRequest } from "@headwater/messaging";
import { createLogger } from "@headwater/runtime";
import { expect, it } from "vitest";
import { createLlmPort } from "./llm-calls.ts";
import type { LlmEvent, LlmQuestion } from "./llm-port.ts";

const QUESTION: LlmQuestion = { caller: { tenantId: "t", userId: "u" }, feedId: "f", question: "?", stream: true };
const USAGE = { currentMonth: "2026-01", tokensUsed: 5, limit: 10, lastResetDate: "2026-01-01T00:00:00Z", overdraftAllowed: true };
const ANSWER = { answer: "Up 2%", provider: "openai", feedId: "f", durationMs: 7 };

function world(call: (request: LlmRequest, hooks: LlmCallHooks) => Promise<LlmOutcome>) {
  const client: LlmClient = { call: (request, hooks = {}) => call(request, hooks) };
  return createLlmPort(client, createLogger({ service: "test", level: "silent" }));
}

/** Every event up to the last. */
function ask(port: ReturnType<typeof world>): Promise<LlmEvent[]> {
  const events: LlmEvent[] = [];
  return new Promise((resolve) => {
    port.ask(QUESTION, (event) => {
      events.push(event);
      if (event.type === "done" || event.type === "error") resolve(events);
    });
  });
}

it("gives tokens, then the bill, then the answer", async () => {
  const requests: LlmRequest[] = [];
  const port = world(async (request, { onToken }) => {
    requests.push(request);
    await onToken?.("Up ");
    await onToken?.("2%");
    return { ok: true, result: { ...ANSWER, tokenUsage: USAGE } };
  });
  expect(await ask(port)).toEqual([
    { type: "token", text: "Up " },
    { type: "token", text: "2%" },
    { type: "usage", tokenUsage: USAGE },
    { type: "done", answer: { ...ANSWER, tokenUsage: USAGE } },
  ]);
  expect(requests).toEqual([{ kind: "query", ...QUESTION }]);
});

it("an answer that cost nothing has no bill", async () => {
  expect(await ask(world(async () => ({ ok: true, result: ANSWER })))).toEqual([{ type: "done", answer: ANSWER }]);
});

it.each<[string, LlmOutcome, string]>([
  ["a refusal keeps its text", { ok: false, status: 429, message: "token quota exceeded" }, "token quota exceeded"],
  ["a provider's error too", { ok: false, status: 502, message: "openai error: 500" }, "openai error: 500"],
  ["REST's name of a missing feed is not this socket's", { ok: false, status: 404, message: "Feed not found" }, "feed not found"],
  [
    "nor is its text without providers",
    { ok: false, status: 503, message: "No LLM providers configured. Please set API keys in environment variables." },
    "LLM service not configured",
  ],
  ["something that is no answer", { ok: true, result: { enabled: true } }, "internal error"],
])("%s", async (_name, outcome, message) => {
  expect(await ask(world(async () => outcome))).toEqual([{ type: "error", message }]);
});

it("a fault of its own ends in one error, not in silence", async () => {
  expect(await ask(world(() => Promise.reject(new Error("bug"))))).toEqual([{ type: "error", message: "internal error" }]);
});

it("a question that is ended says nothing more, and the call knows", async () => {
  let signal: AbortSignal | undefined;
  const over = Promise.withResolvers<LlmOutcome>();
  const port = world((_request, hooks) => {
    signal = hooks.signal;
    return over.promise;
  });
  const events: LlmEvent[] = [];
  const end = port.ask(QUESTION, (event) => void events.push(event));
  end();
  expect(signal?.aborted).toBe(true);
  over.resolve({ ok: false, status: 499, message: "cancelled" });
  await over.promise;
  expect(events).toEqual([]);
});

it("toggles for the caller, or says why not", async () => {
  const requests: LlmRequest[] = [];
  const wanted = { caller: QUESTION.caller, feedId: "f", enabled: true };
  const port = world(async (request) => {
    requests.push(request);
    return requests.length === 1 ? { ok: true, result: {} } : { ok: false, status: 503, message: "LLM service not configured" };
  });
  expect(await port.setAutoAnalysis(wanted)).toEqual({ ok: true });
  expect(await port.setAutoAnalysis(wanted)).toEqual({ ok: false, message: "LLM service not configured" });
  expect(requests[0]).toEqual({ kind: "toggle-auto-analysis", ...wanted, stream: false });
});

import { SocketServerMessage } from "@headwater/protocol";
import { expect, it } from "vitest";
import { type LlmEvent, type LlmPort, type LlmQuestion, noLlm } from "./llm-port.ts";
import { type AnswerStyle, Questions } from "./questions.ts";

const QUESTION: LlmQuestion = { caller: { tenantId: "t", userId: "u" }, feedId: "f", question: "?", stream: true };
const USAGE = { currentMonth: "2026-01", tokensUsed: 5, limit: 10, lastResetDate: "2026-01-01T00:00:00Z", overdraftAllowed: true };
const EVENTS: LlmEvent[] = [
  { type: "token", text: "Up " },
  { type: "token", text: "2%" },
  { type: "usage", tokenUsage: USAGE },
  { type: "done", answer: { answer: "Up 2%", provider: "openai", feedId: "f", tokensUsed: 5, durationMs: 7 } },
];

function world(port?: LlmPort) {
  const sent: unknown[] = [];
  const asked: ((event: LlmEvent) => void)[] = [];
  let cancelled = 0;
  const fake: LlmPort = {
    ask(_question, onEvent) {
      asked.push(onEvent);
      return () => void cancelled++;
    },
    setAutoAnalysis: async () => ({ ok: true }),
  };
  const questions = new Questions(port ?? fake, (text) => {
    const frame: unknown = JSON.parse(text);
    SocketServerMessage.parse(frame);
    sent.push(frame);
  });
  return { questions, sent, asked, cancelled: () => cancelled };
}

const usage = { type: "token-usage-update", payload: USAGE };
const answer = { answer: "Up 2%", provider: "openai", feedId: "f", durationMs: 7, requestId: "r" };

it.each<[AnswerStyle, unknown[]]>([
  ["query", [usage, { type: "llm-response", payload: answer }]],
  [
    "stream",
    [
      { type: "llm-token", payload: { token: "Up ", requestId: "r" } },
      { type: "llm-token", payload: { token: "2%", requestId: "r" } },
      usage,
      { type: "llm-complete", payload: answer },
    ],
  ],
  [
    "crypto",
    [
      { type: "ai-stream", payload: { token: "Up " } },
      { type: "ai-stream", payload: { token: "2%" } },
      usage,
      { type: "ai-complete", payload: { response: "Up 2%", duration: 7 } },
    ],
  ],
  ["universal", [usage, { type: "universal-ai-complete", payload: { response: "Up 2%", duration: 7, analysisId: "a" } }]],
])("%s: tokens, then the bill, then the answer", (style, expected) => {
  const { questions, sent, asked } = world();
  questions.ask(QUESTION, style, { feedId: "f", requestId: "r", analysisId: "a" });
  for (const event of EVENTS) asked[0]?.(event);
  // Nothing follows the end.
  asked[0]?.({ type: "token", text: "late" });
  expect(sent).toEqual(expected);
});

it("without providers every question fails with the contract's text", () => {
  const { questions, sent } = world(noLlm);
  questions.ask(QUESTION, "stream", { feedId: "f", requestId: 1 });
  expect(sent).toEqual([{ type: "llm-error", payload: { error: "LLM service not configured", feedId: "f", requestId: 1 } }]);
});

it("sixteen questions at a time; a closed socket ends them", () => {
  const { questions, sent, asked, cancelled } = world();
  for (let i = 0; i < 17; i++) questions.ask(QUESTION, "query", { requestId: i });
  expect(asked).toHaveLength(16);
  expect(sent).toEqual([{ type: "llm-error", payload: { error: "too many concurrent queries", requestId: 16 } }]);
  asked[0]?.({ type: "error", message: "openai timed out" });
  questions.ask(QUESTION, "query", { requestId: 17 });
  expect(asked).toHaveLength(17);
  questions.cancelAll();
  expect(cancelled()).toBe(16);
  const before = sent.length;
  asked[1]?.({ type: "token", text: "late" });
  asked[2]?.({ type: "error", message: "late" });
  expect(sent).toHaveLength(before);
});

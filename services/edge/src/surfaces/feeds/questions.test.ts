import { SocketServerMessage } from "@headwater/protocol";
import { expect, it } from "vitest";
import type { LlmEvent, LlmPort, LlmQuestion } from "./llm-port.ts";
import { type AnswerStyle, Questions } from "./questions.ts";

const QUESTION: LlmQuestion = { caller: { tenantId: "t", userId: "u" }, feedId: "f", question: "?", stream: true };
const USAGE = { currentMonth: "2026-01", tokensUsed: 5, limit: 10, lastResetDate: "2026-01-01T00:00:00Z", overdraftAllowed: true };
const EVENTS: LlmEvent[] = [
  { type: "token", text: "Up " },
  { type: "token", text: "2%" },
  { type: "usage", tokenUsage: USAGE },
  { type: "done", answer: { answer: "Up 2%", provider: "openai", feedId: "f", tokensUsed: 5, durationMs: 7 } },
];

function world() {
  const sent: unknown[] = [];
  const asked: ((event: LlmEvent) => void | Promise<void>)[] = [];
  let cancelled = 0;
  const port: LlmPort = {
    ask(_question, onEvent) {
      asked.push(onEvent);
      return () => void cancelled++;
    },
    setAutoAnalysis: async () => ({ ok: true }),
  };
  const wishes: { belowBytes: number; run: () => void }[] = [];
  const outlet = {
    isOpen: true,
    maxBufferedBytes: 1_000,
    keptBytes: 0,
    sendText(text: string) {
      const frame: unknown = JSON.parse(text);
      SocketServerMessage.parse(frame);
      sent.push(frame);
    },
    whenTaken: (_owner: object, belowBytes: number, run: () => void) => void wishes.push({ belowBytes, run }),
  };
  const questions = new Questions(port, outlet);
  return { questions, sent, asked, cancelled: () => cancelled, outlet, wishes };
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
  for (const event of EVENTS) void asked[0]?.(event);
  // Nothing follows the end.
  void asked[0]?.({ type: "token", text: "late" });
  expect(sent).toEqual(expected);
});

it("sixteen questions at a time; a closed socket ends them", () => {
  const { questions, sent, asked, cancelled } = world();
  for (let i = 0; i < 17; i++) questions.ask(QUESTION, "query", { requestId: i });
  expect(asked).toHaveLength(16);
  expect(sent).toEqual([{ type: "llm-error", payload: { error: "too many concurrent queries", requestId: 16 } }]);
  void asked[0]?.({ type: "error", message: "openai timed out" });
  questions.ask(QUESTION, "query", { requestId: 17 });
  expect(asked).toHaveLength(17);
  questions.cancelAll();
  expect(cancelled()).toBe(16);
  const before = sent.length;
  void asked[1]?.({ type: "token", text: "late" });
  void asked[2]?.({ type: "error", message: "late" });
  expect(sent).toHaveLength(before);
});

it("questions about a feed that is gone end and are told why, the others go on", () => {
  const { questions, sent, asked, cancelled } = world();
  questions.ask(QUESTION, "stream", { feedId: "f", requestId: "a" });
  questions.ask({ ...QUESTION, feedId: "g" }, "stream", { feedId: "g", requestId: "b" });
  questions.endWhere((feedId) => feedId === "f", "feed not found");
  void asked[0]?.({ type: "token", text: "late" });
  void asked[1]?.({ type: "token", text: "still" });
  expect(sent).toEqual([
    { type: "llm-error", payload: { error: "feed not found", feedId: "f", requestId: "a" } },
    { type: "llm-token", payload: { token: "still", requestId: "b" } },
  ]);
  expect(cancelled()).toBe(1);
});

it("tokens wait while the client takes none, answers do not", async () => {
  const { questions, sent, asked, outlet, wishes } = world();
  questions.ask(QUESTION, "stream", {});
  expect(asked[0]?.({ type: "token", text: "a" })).toBeUndefined();
  outlet.keptBytes = 250;
  const waiting = asked[0]?.({ type: "token", text: "b" });
  expect(waiting).toBeInstanceOf(Promise);
  expect(wishes.map((wish) => wish.belowBytes)).toEqual([125]);
  wishes[0]?.run();
  await waiting;
  for (const event of EVENTS.slice(2)) expect(asked[0]?.(event)).toBeUndefined();
  expect(sent).toHaveLength(4);
});

it("a socket that is closing ends its question with the next token", () => {
  const { questions, sent, asked, cancelled, outlet } = world();
  questions.ask(QUESTION, "stream", {});
  outlet.isOpen = false;
  void asked[0]?.({ type: "token", text: "a" });
  expect([sent.length, cancelled()]).toEqual([0, 1]);
});

/** Ollama's chat protocol: one JSON object a line; and its list of models, whose names are the pieces of the answer. Tests: llm-server.int.test.ts. */
import { type CannedAnswer, type LlmWire, text } from "./wire.ts";

const counts = (answer: CannedAnswer): Record<string, unknown> =>
  answer.hasUsage ? { prompt_eval_count: answer.inputTokens, eval_count: answer.outputTokens } : {};

export const ollamaWire: LlmWire = {
  protocol: "ollama",
  matches: (path) => path.endsWith("/api/chat"),
  wantsStream: (_path, body) => body["stream"] !== false,
  model: (_path, body) => text(body["model"]),
  document: (answer) => ({
    model: answer.model,
    message: { role: "assistant", content: answer.pieces.join("") },
    done: true,
    ...counts(answer),
  }),
  streamType: "application/x-ndjson",
  stream(answer) {
    const line = (content: string, rest: Record<string, unknown>): string =>
      `${JSON.stringify({ model: answer.model, message: { role: "assistant", content }, ...rest })}\n`;
    return {
      head: "",
      pieces: answer.pieces.map((piece) => line(piece, { done: false })),
      tail: line("", { done: true, done_reason: "stop", ...counts(answer) }),
    };
  },
  error: (_status, message) => ({ error: message }),
};

const tags = (names: readonly string[]): string => JSON.stringify({ models: names.map((name) => ({ name, model: name })) });

export const ollamaTagsWire: LlmWire = {
  ...ollamaWire,
  method: "GET",
  pieces: ["llama3.2:latest"],
  matches: (path) => path.endsWith("/api/tags"),
  wantsStream: () => false,
  document: ({ pieces }) => JSON.parse(tags(pieces)) as unknown,
  stream: ({ pieces }) => ({ head: '{"models":[', pieces: [tags(pieces)], tail: "]}" }),
};

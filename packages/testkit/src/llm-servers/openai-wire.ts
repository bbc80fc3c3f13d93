/** Chat completions as OpenAI, Azure, Mistral and Grok speak them. Tests: llm-server.int.test.ts. */
import { type CannedAnswer, type LlmWire, text } from "./wire.ts";

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;
const usageOf = ({ inputTokens, outputTokens }: CannedAnswer): unknown => ({
  prompt_tokens: inputTokens,
  completion_tokens: outputTokens,
  total_tokens: inputTokens + outputTokens,
});

function asksForUsage(body: Record<string, unknown>): boolean {
  const options = body["stream_options"];
  return typeof options === "object" && options !== null && "include_usage" in options && options.include_usage === true;
}

export const openaiWire: LlmWire = {
  protocol: "openai",
  matches: (path) => path.endsWith("/chat/completions"),
  wantsStream: (_path, body) => body["stream"] === true,
  model: (_path, body) => text(body["model"]),
  document: (answer) => ({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: answer.model,
    choices: [{ index: 0, message: { role: "assistant", content: answer.pieces.join("") }, finish_reason: "stop" }],
    ...(answer.hasUsage ? { usage: usageOf(answer) } : {}),
  }),
  streamType: "text/event-stream",
  stream(answer, body) {
    const chunk = (delta: unknown, finish: string | null): string =>
      event({
        id: "chatcmpl-1",
        object: "chat.completion.chunk",
        model: answer.model,
        choices: [{ index: 0, delta, finish_reason: finish }],
      });
    const usage =
      answer.hasUsage && asksForUsage(body) ? event({ id: "chatcmpl-1", model: answer.model, choices: [], usage: usageOf(answer) }) : "";
    return {
      head: chunk({ role: "assistant", content: "" }, null),
      pieces: answer.pieces.map((content) => chunk({ content }, null)),
      tail: `${chunk({}, "stop")}${usage}data: [DONE]\n\n`,
    };
  },
  error: (status, message) => ({ error: { message, type: "error", param: null, code: String(status) } }),
};

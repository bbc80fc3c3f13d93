/** Anthropic's messages protocol. Tests: llm-server.int.test.ts. */
import { type LlmWire, text } from "./wire.ts";

const event = (type: string, data: Record<string, unknown>): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;

export const anthropicWire: LlmWire = {
  protocol: "anthropic",
  matches: (path) => path.endsWith("/v1/messages"),
  wantsStream: (_path, body) => body["stream"] === true,
  model: (_path, body) => text(body["model"]),
  document: (answer) => ({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: answer.model,
    content: [{ type: "text", text: answer.pieces.join("") }],
    stop_reason: "end_turn",
    usage: { input_tokens: answer.inputTokens, output_tokens: answer.outputTokens },
  }),
  streamType: "text/event-stream",
  stream: (answer) => ({
    head:
      event("message_start", {
        message: {
          id: "msg_1",
          type: "message",
          role: "assistant",
          model: answer.model,
          content: [],
          usage: { input_tokens: answer.inputTokens, output_tokens: 1 },
        },
      }) + event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    pieces: answer.pieces.map((piece) => event("content_block_delta", { index: 0, delta: { type: "text_delta", text: piece } })),
    tail:
      event("content_block_stop", { index: 0 }) +
      event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: answer.outputTokens } }) +
      event("message_stop", {}),
  }),
  error: (status, message) => ({ type: "error", error: { type: `error_${status}`, message } }),
};

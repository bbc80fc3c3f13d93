/** Google's generateContent protocol. Tests: llm-server.int.test.ts. */
import type { CannedAnswer, LlmWire } from "./wire.ts";

const PATH = /\/v1beta\/models\/([^/:]+):(generateContent|streamGenerateContent)$/;

const answered = (answer: CannedAnswer, content: string, isLast: boolean): unknown => ({
  candidates: [{ content: { role: "model", parts: [{ text: content }] }, ...(isLast ? { finishReason: "STOP" } : {}) }],
  ...(answer.hasUsage
    ? {
        usageMetadata: {
          promptTokenCount: answer.inputTokens,
          candidatesTokenCount: isLast ? answer.outputTokens : 1,
          totalTokenCount: answer.inputTokens + (isLast ? answer.outputTokens : 1),
        },
      }
    : {}),
  modelVersion: answer.model,
});
const event = (data: unknown): string => `data: ${JSON.stringify(data)}\r\n\r\n`;

export const geminiWire: LlmWire = {
  protocol: "gemini",
  matches: (path) => PATH.test(path),
  wantsStream: (path) => PATH.exec(path)?.[2] === "streamGenerateContent",
  model: (path) => decodeURIComponent(PATH.exec(path)?.[1] ?? ""),
  document: (answer) => answered(answer, answer.pieces.join(""), true),
  streamType: "text/event-stream",
  stream: (answer) => ({
    head: "",
    pieces: answer.pieces.map((piece) => event(answered(answer, piece, false))),
    tail: event(answered(answer, "", true)),
  }),
  error: (status, message) => ({ error: { code: status, message, status: "ERROR" } }),
};

/**
 * Messages of one `/ws` socket that ask the intelligence service, the legacy ones included: each ends in exactly one answer or error, tokens
 * come before their end, the bill before the answer. Questions run beside other messages. Tests: questions.test.ts.
 */
import { SOCKET_ERRORS } from "@headwater/protocol";
import type { Echo } from "../../domain/socket-message.ts";
import { type ErrorType, socketFrames } from "./frames.ts";
import type { LlmEvent, LlmPort, LlmQuestion } from "./llm-port.ts";

/** How the events of one question look on the wire. */
export type AnswerStyle = "query" | "stream" | "crypto" | "universal";

export const QUESTION_ERRORS: Readonly<Record<AnswerStyle, ErrorType>> = {
  query: "llm-error",
  stream: "llm-error",
  crypto: "ai-error",
  universal: "universal-ai-error",
};

/** Asked when a legacy message brings no question of its own. */
export const GENERAL_QUESTION = "Summarise what this feed shows. Point out patterns and anomalies.";

/** Questions of one socket at the same time. */
const MAX_OPEN = 16;

export class Questions {
  readonly #port: LlmPort;
  readonly #send: (text: string) => void;
  /** Made with the first question: most sockets never ask. */
  #open: Set<() => void> | undefined;

  constructor(port: LlmPort, send: (text: string) => void) {
    this.#port = port;
    this.#send = send;
  }

  ask(question: LlmQuestion, style: AnswerStyle, echo: Echo): void {
    this.#open ??= new Set();
    const open = this.#open;
    if (open.size >= MAX_OPEN) {
      this.#send(socketFrames.error(QUESTION_ERRORS[style], SOCKET_ERRORS.too_many_queries, echo));
      return;
    }
    const running: { isOver: boolean; end?: () => void } = { isOver: false };
    const cancel = (): void => {
      running.isOver = true;
      running.end?.();
    };
    open.add(cancel);
    running.end = this.#port.ask(question, (event) => {
      if (running.isOver) return;
      if (event.type === "done" || event.type === "error") {
        running.isOver = true;
        open.delete(cancel);
      }
      const text = render(event, style, echo);
      if (text !== undefined) this.#send(text);
    });
  }

  /** The socket is gone, or somebody else's now. */
  cancelAll(): void {
    for (const cancel of this.#open ?? []) cancel();
    this.#open = undefined;
  }
}

function render(event: LlmEvent, style: AnswerStyle, echo: Echo): string | undefined {
  const { requestId, analysisId } = echo;
  switch (event.type) {
    case "token":
      if (style === "stream") return socketFrames.of("llm-token", { token: event.text, requestId });
      return style === "crypto" ? socketFrames.of("ai-stream", { token: event.text }) : undefined;
    case "usage":
      return socketFrames.tokenUsage(event.tokenUsage);
    case "error":
      return socketFrames.error(QUESTION_ERRORS[style], event.message, echo);
    case "done": {
      const { answer, provider, feedId, durationMs } = event.answer;
      if (style === "crypto") return socketFrames.of("ai-complete", { response: answer, duration: durationMs });
      if (style === "universal") return socketFrames.of("universal-ai-complete", { response: answer, duration: durationMs, analysisId });
      return socketFrames.of(style === "stream" ? "llm-complete" : "llm-response", { answer, provider, feedId, durationMs, requestId });
    }
  }
}

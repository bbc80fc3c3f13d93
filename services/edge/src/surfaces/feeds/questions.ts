/**
 * Messages of one `/ws` socket that ask the intelligence service, the legacy ones included: each ends in exactly one answer or error, tokens
 * come before their end, the bill before the answer. Questions run beside other messages. Tests: questions.test.ts.
 */
import { SOCKET_ERRORS } from "@headwater/protocol";
import type { WsConnection } from "../../adapters/ws-connection.ts";
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

/** A socket takes tokens as long as no more than this waits for its client, so a slow one holds its own provider back and nobody else. */
const MAX_WAITING_BYTES = 256 * 1024;
/** Of a small queue no more than this share, so that tokens alone never close a socket. */
const MAX_WAITING_SHARE = 1 / 4;

export type QuestionOutlet = Pick<WsConnection, "isOpen" | "maxBufferedBytes" | "keptBytes" | "sendText" | "whenTaken">;

interface OpenQuestion {
  feedId: string;
  style: AnswerStyle;
  echo: Echo;
  isOver: boolean;
  cancel: (() => void) | undefined;
}

export class Questions {
  readonly #port: LlmPort;
  readonly #outlet: QuestionOutlet;
  readonly #maxWaiting: number;
  /** Made with the first question: most sockets never ask. */
  #open: Set<OpenQuestion> | undefined;

  constructor(port: LlmPort, outlet: QuestionOutlet) {
    this.#port = port;
    this.#outlet = outlet;
    this.#maxWaiting = Math.min(MAX_WAITING_BYTES, outlet.maxBufferedBytes * MAX_WAITING_SHARE);
  }

  ask(question: LlmQuestion, style: AnswerStyle, echo: Echo): void {
    this.#open ??= new Set();
    if (this.#open.size >= MAX_OPEN) {
      this.#outlet.sendText(socketFrames.error(QUESTION_ERRORS[style], SOCKET_ERRORS.too_many_queries, echo));
      return;
    }
    const open: OpenQuestion = { feedId: question.feedId, style, echo, isOver: false, cancel: undefined };
    this.#open.add(open);
    open.cancel = this.#port.ask(question, (event) => this.#onEvent(open, event));
  }

  /** Ends the questions about some feeds before their answer; each is told why. */
  endWhere(isEnded: (feedId: string) => boolean, error: string): void {
    for (const open of this.#open ?? []) {
      if (!isEnded(open.feedId)) continue;
      this.#end(open);
      this.#outlet.sendText(socketFrames.error(QUESTION_ERRORS[open.style], error, open.echo));
    }
  }

  /** The socket is gone. */
  cancelAll(): void {
    for (const open of this.#open ?? []) this.#end(open);
  }

  #end(open: OpenQuestion): void {
    open.isOver = true;
    this.#open?.delete(open);
    open.cancel?.();
  }

  #onEvent(open: OpenQuestion, event: LlmEvent): void | Promise<void> {
    if (open.isOver) return undefined;
    // Closed by somebody else, a slow reader for one: the goodbye may take a while, the provider need not work until then.
    if (!this.#outlet.isOpen) return this.#end(open);
    if (event.type === "done" || event.type === "error") {
      open.isOver = true;
      this.#open?.delete(open);
    }
    const text = render(event, open.style, open.echo);
    if (text !== undefined) this.#outlet.sendText(text);
    if (event.type !== "token" || this.#outlet.keptBytes < this.#maxWaiting) return undefined;
    return new Promise((resolve) => this.#outlet.whenTaken(open, this.#maxWaiting / 2, resolve));
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

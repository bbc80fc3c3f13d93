/**
 * What `/ws` needs of the intelligence service: answers to questions, as events. Until a service answers, every question fails with the
 * contract's text for a server without providers. Tests: questions.test.ts.
 */
import { type LlmAnswer, SOCKET_ERRORS, type TokenUsage } from "@headwater/protocol";

export interface LlmQuestion {
  /** Who asks and who pays; from the credential, never from the message. */
  caller: { tenantId: string; userId: string };
  feedId: string;
  question: string;
  topic?: string | undefined;
  provider?: string | undefined;
  systemPrompt?: string | undefined;
  /** Tokens are wanted as they come. */
  stream: boolean;
}

/** Tokens in order, then the bill, then exactly one `done` or `error`. */
export type LlmEvent =
  | { type: "token"; text: string }
  | { type: "usage"; tokenUsage: TokenUsage }
  | { type: "done"; answer: LlmAnswer }
  | { type: "error"; message: string };

export interface LlmPort {
  /** @returns function that ends the question; no event comes after it. */
  ask(question: LlmQuestion, onEvent: (event: LlmEvent) => void): () => void;
  /** The caller owns the feed. Never rejects. */
  setAutoAnalysis(request: {
    caller: LlmQuestion["caller"];
    feedId: string;
    enabled: boolean;
  }): Promise<{ ok: true } | { ok: false; message: string }>;
}

export const noLlm: LlmPort = {
  ask(_question, onEvent) {
    onEvent({ type: "error", message: SOCKET_ERRORS.llm_off });
    return () => undefined;
  },
  setAutoAnalysis: async () => ({ ok: false, message: SOCKET_ERRORS.llm_off }),
};

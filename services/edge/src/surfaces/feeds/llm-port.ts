/** What `/ws` needs of the intelligence service: answers to questions, as events. llm-calls.ts asks the real one. */
import type { LlmAnswer, TokenUsage } from "@headwater/protocol";

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
  /** `message` is an `error` text of the contract. */
  | { type: "error"; message: string };

export interface LlmPort {
  /**
   * While the promise of a token is open no further event comes and the provider is held back.
   * @returns function that ends the question; no event comes after it.
   */
  ask(question: LlmQuestion, onEvent: (event: LlmEvent) => void | Promise<void>): () => void;
  /** The caller owns the feed. Never rejects. */
  setAutoAnalysis(request: {
    caller: LlmQuestion["caller"];
    feedId: string;
    enabled: boolean;
  }): Promise<{ ok: true } | { ok: false; message: string }>;
}

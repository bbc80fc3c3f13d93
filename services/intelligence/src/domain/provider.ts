/**
 * Port of a model provider: one question, one answer, tokens as they come if wanted. Implemented in adapters/providers; callers see only this.
 * Errors are `ProviderError` and nothing else. Pure.
 */
import type { Material } from "./material.ts";

export interface ChatMessage {
  role: "user" | "assistant";
  content: string;
}

export interface CompletionRequest {
  system: string;
  messages: readonly ChatMessage[];
  maxTokens: number;
  temperature: number;
  /** The caller leaves: ends the call within a second, whatever the provider does, and says nothing about the provider. */
  signal: AbortSignal;
  /** Less patience than the provider's own deadline, ms. Taking longer is the provider's failure, as its deadline is. */
  withinMs?: number | undefined;
  /** Given: the answer is streamed, pieces in order, and their concatenation is `text`. */
  onToken?: ((piece: string) => void) | undefined;
  /** What the prompt was made of. Network providers send the prompt only; the builtin analyst reads this instead of it. */
  material: Material;
}

export interface Usage {
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  /** The provider did not count, or the call ended before it told: about four characters a token. */
  estimated: boolean;
}

export interface Completion {
  text: string;
  usage: Usage;
  model: string;
}

export interface Provider {
  readonly id: string;
  readonly model: string;
  /** `material`: nothing of the prompt is read, so it need not be written (the builtin analyst). */
  readonly reads?: "material" | undefined;
  /** @throws ProviderError */
  complete(request: CompletionRequest): Promise<Completion>;
}

export type ProviderFailure = "timeout" | "rate_limited" | "http" | "unreachable" | "bad_answer" | "cancelled" | "paused";

export interface ProviderErrorInit {
  status?: number | undefined;
  retryAfterMs?: number | undefined;
  /** What was spent before it failed. */
  usage?: Usage | undefined;
  cause?: unknown;
}

/** `message` is a short reason fit for strangers: never the provider's own text, which may quote the prompt or the key. */
export class ProviderError extends Error {
  readonly code: ProviderFailure;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly usage: Usage | undefined;
  constructor(code: ProviderFailure, message: string, init: ProviderErrorInit = {}) {
    super(message, init.cause === undefined ? {} : { cause: init.cause });
    this.code = code;
    this.status = init.status;
    this.retryAfterMs = init.retryAfterMs;
    this.usage = init.usage;
  }
}

/** The contract's text of a failed call: 504 `<provider> timed out`, else 502 `<provider> error: <short reason>`. */
export function failureText(provider: string, error: ProviderError): { status: 502 | 504; message: string } {
  if (error.code === "timeout") return { status: 504, message: `${provider} timed out` };
  return { status: 502, message: `${provider} error: ${error.message}` };
}

/** Another try may help: the provider was busy or broken, not our request. */
export function isRetryable(error: ProviderError): boolean {
  return error.code === "rate_limited" || error.code === "unreachable" || (error.code === "http" && (error.status ?? 0) >= 500);
}

const CHARS_PER_TOKEN = 4;

export function countedUsage(inputTokens: number, outputTokens: number, totalTokens = inputTokens + outputTokens): Usage {
  return { inputTokens, outputTokens, totalTokens, estimated: false };
}

export function estimatedUsage(request: Pick<CompletionRequest, "system" | "messages">, answerChars: number): Usage {
  const promptChars = request.system.length + request.messages.reduce((sum, message) => sum + message.content.length, 0);
  const inputTokens = Math.ceil(promptChars / CHARS_PER_TOKEN);
  const outputTokens = Math.ceil(answerChars / CHARS_PER_TOKEN);
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens, estimated: true };
}

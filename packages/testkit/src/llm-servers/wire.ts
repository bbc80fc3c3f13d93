/** How a provider protocol puts an answer on the wire; one file per protocol. Shapes only. */
export interface CannedAnswer {
  model: string;
  pieces: readonly string[];
  inputTokens: number;
  outputTokens: number;
  /** False: the provider does not count. */
  hasUsage: boolean;
}

export interface LlmWire {
  protocol: "openai" | "anthropic" | "gemini" | "ollama";
  /** Undefined: POST. */
  method?: "GET";
  /** What a good answer holds when nobody says anything else. */
  pieces?: readonly string[];
  /** Does a request to this path speak it? Query not included. */
  matches(path: string): boolean;
  wantsStream(path: string, body: Record<string, unknown>): boolean;
  /** Model the request names. */
  model(path: string, body: Record<string, unknown>): string;
  /** Whole answer of a request that does not stream. */
  document(answer: CannedAnswer): unknown;
  streamType: string;
  /** Raw text of a stream: what comes first, one entry per piece, what ends it. */
  stream(answer: CannedAnswer, body: Record<string, unknown>): { head: string; pieces: string[]; tail: string };
  /** Body of an HTTP error. */
  error(status: number, text: string): unknown;
}

export const text = (value: unknown): string => (typeof value === "string" ? value : "");

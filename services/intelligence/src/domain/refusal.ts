/** A question that is not answered, with the contract's words. Adapters put it on HTTP or into a chunk. Pure. */
import { API_ERRORS, type ApiErrorCode, LLM_ERRORS, type LlmErrorCode } from "@headwater/protocol";

export interface RefusalInit {
  /** Where the contract's text has a blank. */
  message?: string;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

export class Refusal extends Error {
  readonly code: LlmErrorCode | ApiErrorCode;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  constructor(code: LlmErrorCode | ApiErrorCode, init: RefusalInit = {}) {
    const known = { ...API_ERRORS, ...LLM_ERRORS }[code];
    super(init.message ?? known.message, init.cause === undefined ? {} : { cause: init.cause });
    this.code = code;
    this.status = known.status;
    this.retryAfterMs = init.retryAfterMs;
  }
}

/**
 * Every way a provider fails, as one of the port's errors. Provider texts never get further than `cause`: they may quote the prompt or the key.
 * Tests: errors.test.ts, providers.int.test.ts.
 */
import { ProviderError } from "../../domain/provider.ts";

interface HttpFailure {
  status: number;
  headers: Headers | undefined;
}

export const badAnswer = (reason: string, cause?: unknown): ProviderError => new ProviderError("bad_answer", reason, { cause });

/** Seconds, a date, or the milliseconds some providers send. Undefined when it is none of them. */
export function retryAfterMs(headers: Headers | undefined, now: number): number | undefined {
  const ms = headers?.get("retry-after-ms");
  if (ms && Number.isFinite(Number(ms))) return Math.max(0, Number(ms));
  const after = headers?.get("retry-after");
  if (!after) return undefined;
  if (Number.isFinite(Number(after))) return Math.max(0, Number(after) * 1_000);
  const date = Date.parse(after);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

export function httpError({ status, headers }: HttpFailure, now: number, cause?: unknown): ProviderError {
  const init = { status, retryAfterMs: retryAfterMs(headers, now), cause };
  if (status === 429) return new ProviderError("rate_limited", "rate limited", init);
  if (status === 401 || status === 403) return new ProviderError("http", "credentials refused", init);
  return new ProviderError("http", `HTTP ${status}`, init);
}

/** @param hasStarted part of the answer was there already. */
export function asProviderError(error: unknown, signal: AbortSignal, now: number, hasStarted: boolean): ProviderError {
  if (error instanceof ProviderError) return error;
  if (signal.aborted) return new ProviderError("cancelled", "cancelled", { cause: error });
  const failure = httpFailureOf(error);
  if (failure) return httpError(failure, now, error);
  if (hasStarted) return badAnswer("answer broke off", error);
  if (error instanceof SyntaxError || hasCause(error, SyntaxError)) return badAnswer("unreadable answer", error);
  return new ProviderError("unreachable", "not reachable", { cause: error });
}

/** Both SDKs' errors of an HTTP answer have a status and headers. */
function httpFailureOf(error: unknown): HttpFailure | undefined {
  if (!(error instanceof Error) || !("status" in error) || typeof error.status !== "number") return undefined;
  const headers = "headers" in error && error.headers instanceof Headers ? error.headers : undefined;
  return { status: error.status, headers };
}

function hasCause(error: unknown, type: new () => Error): boolean {
  return error instanceof Error && error.cause instanceof type;
}

/**
 * Around every provider: one deadline over all tries, one retry with jitter when the provider was busy or broken and nothing was told yet,
 * a circuit breaker, a cap on the answer's length, and cancellation that does not wait for the provider. Tests: resilient-provider.test.ts.
 */
import { BREAKER_LIMITS, type BreakerLimits, CircuitBreaker } from "../domain/circuit-breaker.ts";
import {
  type Completion,
  type CompletionRequest,
  estimatedUsage,
  isRetryable,
  type Provider,
  ProviderError,
  type Usage,
} from "../domain/provider.ts";

export interface ResilienceOptions {
  /** Over all tries, ms. */
  timeoutMs: number;
  /** Never jumps, ms. */
  monotonicMs: () => number;
  /** 0 ≤ x < 1. */
  random: () => number;
  breaker?: BreakerLimits;
}

/** Without `Retry-After`: half of this to all of it. */
const RETRY_DELAY_MS = 500;
/** Longer pauses the provider asks for are the caller's decision. */
const MAX_RETRY_AFTER_MS = 10_000;
/** A model that ignores its token limit is cut off here. */
const MAX_ANSWER_CHARS = 64 * 1024;

export interface ResilientProvider extends Provider {
  /** Calls are refused at once until the next probe. */
  isPaused(): boolean;
}

export function resilient(provider: Provider, options: ResilienceOptions): ResilientProvider {
  const breaker = new CircuitBreaker(options.breaker ?? BREAKER_LIMITS);

  async function complete(request: CompletionRequest): Promise<Completion> {
    if (request.signal.aborted) throw new ProviderError("cancelled", "cancelled");
    const admitted = breaker.admit(options.monotonicMs());
    if (!admitted.ok)
      throw new ProviderError("paused", "paused after repeated failures", { retryAfterMs: Math.ceil(admitted.retryAfterMs) });
    try {
      const completion = await withDeadline(request);
      breaker.succeeded();
      return completion;
    } catch (error) {
      const failure = error instanceof ProviderError ? error : new ProviderError("bad_answer", "unreadable answer", { cause: error });
      judge(failure);
      throw failure;
    }
  }

  function judge(failure: ProviderError): void {
    if (failure.code === "cancelled") return breaker.abandoned();
    // It answered, and refused what we asked: it is alive.
    if (failure.code === "http" && (failure.status ?? 0) < 500) return breaker.succeeded();
    breaker.failed(options.monotonicMs());
  }

  async function withDeadline(request: CompletionRequest): Promise<Completion> {
    const timeoutMs = Math.min(options.timeoutMs, request.withinMs ?? Number.POSITIVE_INFINITY);
    const deadline = options.monotonicMs() + timeoutMs;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(new ProviderError("timeout", "timed out")), timeoutMs);
    const leave = (): void => stop.abort(new ProviderError("cancelled", "cancelled"));
    request.signal.addEventListener("abort", leave, { once: true });
    let told = 0;
    const onToken = (piece: string): void => {
      if (stop.signal.aborted) return;
      told += piece.length;
      if (told > MAX_ANSWER_CHARS) return stop.abort(new ProviderError("bad_answer", "answer too long"));
      request.onToken?.(piece);
    };
    const inner = { ...request, signal: stop.signal, ...(request.onToken ? { onToken } : {}) };
    try {
      return await attempt(inner, deadline, () => told > 0);
    } catch (error) {
      throw withUsage(
        stop.signal.aborted ? asError(stop.signal.reason) : asError(error),
        told === 0 ? undefined : estimatedUsage(request, told),
      );
    } finally {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", leave);
    }
  }

  async function attempt(request: CompletionRequest, deadline: number, hasTold: () => boolean): Promise<Completion> {
    try {
      return capped(await orAborted(provider.complete(request), request.signal));
    } catch (error) {
      const failure = asError(error);
      const waitMs = failure.retryAfterMs ?? RETRY_DELAY_MS * (0.5 + options.random() / 2);
      const isHopeless = waitMs > MAX_RETRY_AFTER_MS || options.monotonicMs() + waitMs >= deadline;
      if (request.signal.aborted || hasTold() || !isRetryable(failure) || isHopeless) throw failure;
      await pause(waitMs, request.signal);
      return capped(await orAborted(provider.complete(request), request.signal));
    }
  }

  return { id: provider.id, model: provider.model, reads: provider.reads, complete, isPaused: () => breaker.isOpen() };
}

function capped(completion: Completion): Completion {
  if (completion.text.length > MAX_ANSWER_CHARS) throw new ProviderError("bad_answer", "answer too long", { usage: completion.usage });
  return completion;
}

function asError(error: unknown): ProviderError {
  return error instanceof ProviderError ? error : new ProviderError("bad_answer", "unreadable answer", { cause: error });
}

function withUsage(error: ProviderError, usage: Usage | undefined): ProviderError {
  if (error.usage !== undefined || usage === undefined) return error;
  const { status, retryAfterMs, cause } = error;
  return new ProviderError(error.code, error.message, { status, retryAfterMs, cause, usage });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return orAborted(promise, signal).finally(() => clearTimeout(timer));
}

/** Settles at once when the signal says so, even if the provider's client does not. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(asError(signal.reason));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * Looks for providers nobody configured: at once and then at times, in the background, never on the way of a question. One that is there counts
 * from the first look that finds it to the second in a row that does not. Nobody there is the usual case and no news.
 * Tests: provider-search.int.test.ts.
 */
import type { CandidateProvider, ProviderContext } from "./providers/row.ts";

export interface ProviderSearchDeps {
  context: ProviderContext;
  found: (candidate: CandidateProvider) => void;
  gone: (candidate: CandidateProvider) => void;
}

export interface SearchTimes {
  /** From the end of one look to the next. */
  everyMs: number;
  /** One that does not answer in time is not there. */
  timeoutMs: number;
}

export const SEARCH_TIMES: SearchTimes = { everyMs: 30_000, timeoutMs: 2_000 };
const MISSES_TO_GO = 2;

export class ProviderSearch {
  readonly #candidates: readonly CandidateProvider[];
  readonly #deps: ProviderSearchDeps;
  readonly #times: SearchTimes;
  /** Looks in a row that did not find it; only of those that are there. */
  readonly #misses = new Map<CandidateProvider, number>();
  readonly #over = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(candidates: readonly CandidateProvider[], deps: ProviderSearchDeps, times: SearchTimes = SEARCH_TIMES) {
    this.#candidates = candidates;
    this.#deps = deps;
    this.#times = times;
  }

  start(): void {
    if (this.#candidates.length > 0) void this.#goOn();
  }

  /** Ends a look that is under way. */
  stop(): void {
    this.#over.abort();
    clearTimeout(this.#timer);
  }

  /** Never rejects. */
  async look(): Promise<void> {
    await Promise.all(this.#candidates.map(async (candidate) => this.#judge(candidate, await this.#isThere(candidate))));
  }

  async #goOn(): Promise<void> {
    await this.look();
    if (!this.#over.signal.aborted) this.#timer = setTimeout(() => void this.#goOn(), this.#times.everyMs).unref();
  }

  async #isThere(candidate: CandidateProvider): Promise<boolean> {
    const signal = AbortSignal.any([this.#over.signal, AbortSignal.timeout(this.#times.timeoutMs)]);
    try {
      return await candidate.isThere(this.#deps.context, signal);
    } catch {
      // Nobody listens, it takes too long, or it is something else than we look for.
      return false;
    }
  }

  #judge(candidate: CandidateProvider, isThere: boolean): void {
    if (this.#over.signal.aborted) return;
    const misses = this.#misses.get(candidate);
    if (isThere) {
      this.#misses.set(candidate, 0);
      if (misses === undefined) this.#deps.found(candidate);
      return;
    }
    if (misses === undefined) return;
    if (misses + 1 < MISSES_TO_GO) {
      this.#misses.set(candidate, misses + 1);
      return;
    }
    this.#misses.delete(candidate);
    this.#deps.gone(candidate);
  }
}

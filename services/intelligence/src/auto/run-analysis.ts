/**
 * One automatic analysis: newest window, reservation, provider, settlement, bill, frame. Who owns the feed pays. A crash at any place costs at
 * most one bill and never asks twice for the same tick. Tests: run-analysis.test.ts, auto.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import { laneOf, type FeedRecord } from "@headwater/protocol";
import { PROMPT_VERSION, promptFor } from "../domain/prompt.ts";
import { type Completion, failureText, type Provider, ProviderError } from "../domain/provider.ts";
import type { Run, RunOutcome, TopicRef } from "../domain/schedule.ts";
import type { AutoMemory, ContextSource, Feeds, Ownership, Providers, Slot, Slots, Usage, Window } from "../ports.ts";
import { analysisKey, answerWire, errorWire } from "./analysis-wire.ts";
import type { FrameSink } from "./analysis-writer.ts";
import { runId } from "./run-id.ts";
import type { RunResult, RunStore } from "../adapters/run-store.ts";

/** What became of a run, for its counter. */
export type RunEnd =
  | "answered"
  | "failed"
  | "cancelled"
  /** Answered and billed, but the lane had another owner by then. */
  | "unpublished"
  /** Somebody has that tick already, or wrote it off. */
  | "taken"
  | "quota"
  /** Nobody could tell whether there are tokens left. */
  | "usage_unknown"
  /** No place before the next tick. */
  | "no_slot"
  /** The feed or its data is gone. */
  | "gone";

export interface Ended {
  end: RunEnd;
  outcome: RunOutcome;
  /** Fit for strangers. */
  error?: string;
}

export interface RunnerDeps {
  feeds: Pick<Feeds, "get">;
  contexts: Pick<ContextSource, "window">;
  memory: AutoMemory;
  ownership: Pick<Ownership, "epochOf">;
  slots: Pick<Slots, "acquire">;
  usage: Usage;
  providers: Providers;
  store: Pick<RunStore, "reserve" | "settle" | "billed">;
  writer: Pick<FrameSink, "stamp" | "write">;
  log: Logger;
  /** Of the ticks, ms. */
  now: () => number;
  /** Told when a provider is about to be asked: how late that is, ms. */
  onAsked: (driftMs: number) => void;
  laneCount: number;
  settings: RunnerSettings;
}

export interface RunnerSettings {
  maxTokens: number;
  temperature: number;
  /** Of one analysis, ms. */
  timeoutMs: number;
}

interface Asked {
  run: Run;
  feed: FeedRecord;
  provider: Provider;
  epoch: number;
  signal: AbortSignal;
}

const QUOTA_NOTICE = "token quota exceeded";
const NOT_CONFIGURED = "LLM service not configured";

export class AnalysisRunner {
  readonly #deps: RunnerDeps;
  /** Topics that were told that the quota is used up. */
  readonly #noticed = new Set<string>();
  readonly #bills = new Set<Promise<void>>();

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  /** Never rejects. @param waitMs longest wait for a place. */
  async run(run: Run, signal: AbortSignal, waitMs: number): Promise<Ended> {
    try {
      return await this.#run(run, signal, waitMs);
    } catch (error) {
      if (signal.aborted) return { end: "cancelled", outcome: "not_needed" };
      this.#deps.log.error({ err: error, feedId: run.feedId }, "auto.run_failed");
      return { end: "failed", outcome: "failed", error: "internal server error" };
    }
  }

  /** Who listens to the topic from now on was told nothing yet. */
  forget(ref: TopicRef): void {
    this.#noticed.delete(analysisKey(ref));
  }

  /** Bills on their way are sent. */
  async settled(): Promise<void> {
    await Promise.all(this.#bills);
  }

  /** Tells listeners of a topic about a failure. Never rejects. */
  async tell(ref: TopicRef, error: string, run = ""): Promise<void> {
    try {
      const ts = await this.#deps.writer.stamp(ref.feedId);
      const ext = { ts, run, model: "", promptVersion: PROMPT_VERSION, tokens: 0, window: [0, 0] as [number, number] };
      await this.#deps.writer.write(ref.feedId, [{ key: analysisKey(ref), wire: errorWire(ref, error), ext }]);
    } catch (failure) {
      this.#deps.log.warn({ err: failure, feedId: ref.feedId }, "auto.error_not_told");
    }
  }

  async #run(run: Run, signal: AbortSignal, waitMs: number): Promise<Ended> {
    const { feeds, ownership, providers } = this.#deps;
    const feed = feeds.get(run.feedId);
    const epoch = ownership.epochOf(run.feedId);
    if (feed === undefined || epoch === undefined) return { end: "gone", outcome: "not_needed" };
    const selection = providers.select(feed.provider);
    if (!selection.ok)
      return { end: "failed", outcome: "failed", error: selection.code === "none_configured" ? NOT_CONFIGURED : selection.message };
    const provider = providers.get(selection.id);
    if (provider === undefined) throw new TypeError(`${selection.id} was chosen but is not there`);
    const refusal = await this.#refusal(run, feed, provider);
    if (refusal !== undefined) return refusal;
    const slot = await this.#place(feed, signal, waitMs);
    if (slot === undefined) return signal.aborted ? { end: "cancelled", outcome: "not_needed" } : { end: "no_slot", outcome: "not_needed" };
    return await this.#ask({ run, feed, provider, epoch, signal }, () => slot.release()).finally(() => slot.release());
  }

  /** Undefined: cancelled, or the next tick came first. */
  async #place({ id, tenantId }: FeedRecord, signal: AbortSignal, waitMs: number): Promise<Slot | undefined> {
    const over = new AbortController();
    const leave = (): void => over.abort(signal.reason);
    const timer = setTimeout(leave, waitMs);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await this.#deps.slots.acquire({ tenantId, feedId: id, kind: "auto", signal: over.signal });
    } catch (error) {
      if (over.signal.aborted) return undefined;
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
    }
  }

  /** Undefined: somebody pays. */
  async #refusal(run: Run, feed: FeedRecord, provider: Provider): Promise<Ended | undefined> {
    const key = analysisKey(run);
    const check = this.#deps.providers.isBilled(provider.id) ? await this.#deps.usage.check(feed.tenantId) : { ok: true as const };
    if (check.ok) {
      this.#noticed.delete(key);
      return undefined;
    }
    if (check.reason === "unavailable") return { end: "usage_unknown", outcome: "not_needed" };
    if (!this.#noticed.has(key)) {
      this.#noticed.add(key);
      await this.tell(run, QUOTA_NOTICE);
    }
    return { end: "quota", outcome: "not_needed" };
  }

  /** @param free gives the place back: nothing after the provider's answer needs it. */
  async #ask(asked: Asked, free: () => void): Promise<Ended> {
    const { run, feed, provider, epoch, signal } = asked;
    const { contexts, memory, settings, store, log } = this.#deps;
    const { feedId, topic, tick } = run;
    // Taken now and not when the tick came, so the newest one wins.
    const window = contexts.window(feedId, topic);
    if (window === undefined) return { end: "gone", outcome: "not_needed" };
    const id = runId(run);
    const row = { id, lane: laneOf(feedId, this.#deps.laneCount), epoch, feedId, tenantId: feed.tenantId, tick };
    if (!(await store.reserve({ ...row, provider: provider.id, model: provider.model }))) return { end: "taken", outcome: "not_needed" };
    const begun = this.#deps.now();
    const prompt = promptFor(provider, { feed, topic, entries: window.entries, memory: memory.recall(feedId, topic) });
    this.#deps.onAsked(this.#deps.now() - run.dueAt);
    let completion: Completion;
    try {
      completion = await provider.complete({
        system: prompt.system,
        messages: prompt.messages,
        material: prompt.material,
        maxTokens: settings.maxTokens,
        temperature: settings.temperature,
        signal,
        withinMs: settings.timeoutMs,
      });
    } catch (error) {
      free();
      if (!(error instanceof ProviderError)) throw error;
      const tokens = this.#billable(provider, error.usage?.totalTokens ?? 0);
      const isCancelled = signal.aborted;
      await this.#settle(asked, { id, outcome: isCancelled ? "cancelled" : "failed", tokens, durationMs: this.#deps.now() - begun });
      if (isCancelled) return { end: "cancelled", outcome: "not_needed" };
      log.warn({ feedId, provider: provider.id, code: error.code, status: error.status }, "auto.provider_failed");
      return { end: "failed", outcome: "failed", error: failureText(provider.id, error).message };
    }
    free();
    const tokens = this.#billable(provider, completion.usage.totalTokens);
    const isOurs = await this.#settle(asked, { id, outcome: "answered", tokens, durationMs: this.#deps.now() - begun });
    if (!isOurs) return { end: "taken", outcome: "not_needed" };
    return await this.#publish(asked, { id, window, question: prompt.question, completion });
  }

  #billable(provider: Provider, tokens: number): number {
    return this.#deps.providers.isBilled(provider.id) ? tokens : 0;
  }

  /** Completes the row and bills. @returns false when the run was written off meanwhile: then nobody pays, and nobody is told. */
  async #settle({ feed }: Asked, result: RunResult): Promise<boolean> {
    const { store, log } = this.#deps;
    try {
      if (!(await store.settle(result))) return false;
    } catch (error) {
      // The tokens are spent all the same. Their bill counts once whoever sends it, and the row will be written off without one.
      log.error({ err: error, feedId: feed.id }, "auto.run_not_settled");
    }
    if (result.tokens > 0) {
      const bill = this.#bill(feed.tenantId, result);
      this.#bills.add(bill);
      void bill.finally(() => this.#bills.delete(bill));
    }
    return true;
  }

  /** What cannot be billed now is found by the housekeeping. Never rejects. */
  async #bill(tenantId: string, { id, tokens }: RunResult): Promise<void> {
    try {
      if ((await this.#deps.usage.add(tenantId, id, tokens)) !== undefined) await this.#deps.store.billed([id]);
    } catch (error) {
      this.#deps.log.warn({ err: error, tokens }, "auto.bill_waits");
    }
  }

  async #publish(
    { run, provider }: Asked,
    { id, window, question, completion }: { id: string; window: Window; question: string; completion: Completion },
  ): Promise<Ended> {
    const { writer, memory, log } = this.#deps;
    const { feedId, topic } = run;
    try {
      const ts = await writer.stamp(feedId);
      const ext = {
        ts,
        run: id,
        model: completion.model,
        promptVersion: PROMPT_VERSION,
        tokens: completion.usage.totalTokens,
        window: [window.oldestSeq, window.newestSeq] as [number, number],
      };
      await writer.write(feedId, [{ key: analysisKey(run), wire: answerWire(run, completion.text, provider.id, ts), ext }]);
      memory.remember(feedId, topic, { at: ts, question, answer: completion.text });
      return { end: "answered", outcome: "answered" };
    } catch (error) {
      log.warn({ err: error, feedId }, "auto.answer_not_stored");
      return { end: "unpublished", outcome: "not_needed" };
    }
  }
}

/**
 * Questions of people, over REST and `/ws` alike: who may ask about which feed, with which provider, at whose cost; then the prompt, the call,
 * the bill and the memory, in this order. Nothing is spent by somebody who does not pay. Tests: manual-calls.test.ts, ../http/llm-routes.int.test.ts.
 */
import { setTimeout } from "node:timers/promises";
import type { SharedLimiter } from "@headwater/messaging";
import { type FeedRecord, feedKeys, type LlmAnswer } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { UsageClient } from "../adapters/usage-client.ts";
import type { Contexts, KnownContext } from "../contexts/lane-requests.ts";
import { MANUAL_RUN } from "../domain/analysis-frame.ts";
import { ANALYZE_QUESTION, NO_DATA_ANSWER, type Prompt, PROMPT_VERSION, promptFor, questionProblem } from "../domain/prompt.ts";
import { type Completion, estimatedUsage, failureText, type Provider, ProviderError } from "../domain/provider.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Feeds, Providers, Slot, Slots, Window } from "../ports.ts";

export interface Caller {
  tenantId: string;
  userId: string;
}

export interface Question {
  /** Random; bills once. */
  callId: string;
  caller: Caller;
  /** Also `<feedId>:<topic>`. */
  feedId: string | undefined;
  topic?: string | undefined;
  question: string | undefined;
  systemPrompt?: string | undefined;
  provider?: string | undefined;
  /** Push the answer to the feed's listeners, if it is the caller's own feed. */
  broadcast: boolean;
}

export interface AnswerHooks {
  /** Given: the answer is streamed. */
  onToken?: ((piece: string) => void) | undefined;
  signal: AbortSignal;
}

export interface ManualSettings {
  maxTokens: number;
  temperature: number;
  /** Calls of one tenant at once, over all instances. */
  tenantConcurrency: number;
  /** Calls of one tenant, over all instances. */
  perMinute: number;
  burst: number;
}

export interface ManualDeps {
  feeds: Feeds;
  providers: Providers;
  contexts: Contexts;
  usage: UsageClient;
  slots: Slots;
  limiter: SharedLimiter;
  settings: ManualSettings;
  clock: Clock;
  log: Logger;
  /** `firstTokenMs` only of streams. */
  observe(call: { provider: string; outcome: string; ms: number; firstTokenMs?: number | undefined; tokens: number }): void;
}

/** No place at a provider for so long: told to ask later. */
const SLOT_WITHIN_MS = 10_000;
/** Remembering an answer delays it by no more than this, ms. */
const AFTERWARDS_WITHIN_MS = 500;

export class ManualCalls {
  readonly #deps: ManualDeps;

  constructor(deps: ManualDeps) {
    this.#deps = deps;
  }

  /** @throws Refusal; what the signal was aborted with. */
  async ask(question: Question, hooks: AnswerHooks): Promise<LlmAnswer> {
    const { providers, limiter, settings, clock } = this.#deps;
    const begun = clock.monotonicMs();
    const { feed, topic } = this.visible(question.caller, question.feedId, question.topic);
    const problem = questionProblem(question.question, question.systemPrompt);
    if (problem) throw new Refusal(QUESTION_CODES[problem.message]);
    const selection = providers.select(question.provider);
    const provider = selection.ok ? providers.get(selection.id) : undefined;
    if (!selection.ok || provider === undefined)
      throw new Refusal(
        !selection.ok && selection.code === "not_configured" ? "PROVIDER_NOT_CONFIGURED" : "NO_PROVIDERS",
        selection.ok ? {} : { message: selection.message },
      );
    const { tenantId, userId } = question.caller;
    const taken = await limiter.take(`llm:t:${tenantId}`, { rate: settings.perMinute / 60, burst: settings.burst });
    if (!taken.ok) throw new Refusal("RATE_LIMITED", { retryAfterMs: taken.retryAfterMs });
    const conversation = { feedId: feed.id, ...(topic === undefined ? {} : { topic }), userId };
    const known = await this.#deps.contexts.read(conversation);
    hooks.signal.throwIfAborted();
    const elapsed = (): number => Math.round(clock.monotonicMs() - begun);
    if (known.window === undefined) {
      hooks.onToken?.(NO_DATA_ANSWER);
      return { answer: NO_DATA_ANSWER, provider: "none", feedId: feed.id, durationMs: elapsed() };
    }
    const prompt = promptOf(provider, feed, topic, question, known);
    const held = await limiter.hold(`llm:c:${tenantId}`, settings.tenantConcurrency);
    if (!held.ok) throw new Refusal("TOO_MANY_CONCURRENT_QUERIES");
    try {
      const { completion, tokenUsage } = await this.#paid(question, feed, provider, prompt, hooks);
      const { totalTokens } = completion.usage;
      await this.#afterwards({ question, feed, topic, provider: provider.id, prompt, completion, window: known.window });
      return {
        answer: completion.text,
        provider: provider.id,
        feedId: feed.id,
        ...(totalTokens === 0 ? {} : { tokensUsed: totalTokens }),
        durationMs: elapsed(),
        ...(tokenUsage === undefined ? {} : { tokenUsage }),
      };
    } finally {
      held.release();
    }
  }

  /** A general question about the newest data. */
  analyze(question: Omit<Question, "broadcast">, hooks: AnswerHooks): Promise<LlmAnswer> {
    const asked = question.question === undefined || question.question.trim() === "" ? ANALYZE_QUESTION : question.question;
    return this.ask({ ...question, question: asked, broadcast: false }, hooks);
  }

  async context(
    caller: Caller,
    feedId: string | undefined,
    topic: string | undefined,
  ): Promise<{ feed: FeedRecord; window: Window | undefined }> {
    const found = this.visible(caller, feedId, topic);
    const { window } = await this.#deps.contexts.read({
      feedId: found.feed.id,
      ...(found.topic === undefined ? {} : { topic: found.topic }),
      userId: caller.userId,
    });
    return { feed: found.feed, window };
  }

  /** Context and every memory of the feed, or of one topic. Owner only. */
  async clear(caller: Caller, feedId: string | undefined, topic: string | undefined, callId: string): Promise<{ feedId: string }> {
    const found = this.owned(caller, feedId, topic);
    await this.#deps.contexts.clear(found.feed.id, found.topic, callId);
    return { feedId: found.feed.id };
  }

  /** The feed as far as the caller may know of it. @throws Refusal 400, 404: the same for unknown and foreign private feeds. */
  visible(caller: Caller, feedId: string | undefined, topic: string | undefined): { feed: FeedRecord; topic: string | undefined } {
    const asked = feedId?.trim() ?? "";
    if (asked === "") throw new Refusal("FEED_ID_REQUIRED");
    const colon = asked.indexOf(":");
    const feed = this.#deps.feeds.get(colon === -1 ? asked : asked.slice(0, colon));
    if (feed === undefined || !(feed.isPublic || feed.tenantId === caller.tenantId)) throw new Refusal("FEED_NOT_FOUND");
    const named = colon === -1 ? undefined : asked.slice(colon + 1);
    return { feed, topic: topic !== undefined && topic !== "" ? topic : named === "" ? undefined : named };
  }

  /** @throws Refusal 403 for a public feed of somebody else. */
  owned(caller: Caller, feedId: string | undefined, topic: string | undefined): { feed: FeedRecord; topic: string | undefined } {
    const found = this.visible(caller, feedId, topic);
    if (found.feed.tenantId !== caller.tenantId) throw new Refusal("NOT_AUTHORIZED");
    return found;
  }

  async #paid(question: Question, feed: FeedRecord, provider: Provider, prompt: Prompt, hooks: AnswerHooks) {
    const { usage, providers, settings } = this.#deps;
    const { tenantId } = question.caller;
    if (!providers.isBilled(provider.id)) return { completion: await this.#complete(provider, prompt, hooks), tokenUsage: undefined };
    const estimate = estimatedUsage(prompt, 0).inputTokens + settings.maxTokens;
    const reserved = await usage.reserve(tenantId, estimate);
    if (!reserved.ok && reserved.reason === "unavailable") throw new Refusal("SERVICE_UNAVAILABLE", { retryAfterMs: 1_000 });
    if (!reserved.ok) throw new Refusal("TOKEN_QUOTA_EXCEEDED");
    const bill = async (tokens: number) => (tokens > 0 ? await usage.add(tenantId, question.callId, tokens) : reserved.tokenUsage);
    try {
      const slot = await this.#slot(tenantId, feed.id, hooks.signal);
      try {
        const completion = await this.#complete(provider, prompt, hooks);
        return { completion, tokenUsage: await bill(completion.usage.totalTokens) };
      } catch (error) {
        // What was spent before it failed was spent.
        if (error instanceof BilledRefusal) await bill(error.tokens);
        throw error;
      } finally {
        slot.release();
      }
    } finally {
      reserved.settle();
    }
  }

  async #slot(tenantId: string, feedId: string, signal: AbortSignal): Promise<Slot> {
    const patience = AbortSignal.timeout(SLOT_WITHIN_MS);
    try {
      return await this.#deps.slots.acquire({ tenantId, feedId, kind: "manual", signal: AbortSignal.any([signal, patience]) });
    } catch (error) {
      if (!patience.aborted || signal.aborted) throw error;
      throw new Refusal("TOO_MANY_CONCURRENT_QUERIES", { retryAfterMs: 1_000, cause: error });
    }
  }

  async #complete(provider: Provider, prompt: Prompt, { onToken, signal }: AnswerHooks): Promise<Completion> {
    const { clock, settings, observe } = this.#deps;
    const begun = clock.monotonicMs();
    let firstTokenMs: number | undefined;
    const took = (outcome: string, tokens: number): void =>
      observe({ provider: provider.id, outcome, ms: clock.monotonicMs() - begun, firstTokenMs, tokens });
    try {
      const { system, messages, material } = prompt;
      const completion = await provider.complete({
        system,
        messages,
        material,
        signal,
        maxTokens: settings.maxTokens,
        temperature: settings.temperature,
        ...(onToken === undefined
          ? {}
          : {
              onToken: (piece: string): void => {
                firstTokenMs ??= clock.monotonicMs() - begun;
                onToken(piece);
              },
            }),
      });
      took("answered", completion.usage.totalTokens);
      return completion;
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      const tokens = error.usage?.totalTokens ?? 0;
      took(error.code, tokens);
      this.#deps.log.info({ provider: provider.id, code: error.code, status: error.status }, "llm.call_failed");
      const { status, message } = failureText(provider.id, error);
      throw new BilledRefusal(status === 504 ? "PROVIDER_TIMED_OUT" : "PROVIDER_ERROR", message, tokens, error);
    }
  }

  /** Neither may cost the caller an answer that is paid for. */
  async #afterwards(told: {
    question: Question;
    feed: FeedRecord;
    topic: string | undefined;
    provider: string;
    prompt: Prompt;
    completion: Completion;
    window: Window;
  }): Promise<void> {
    const { question, feed, topic, provider, prompt, completion, window } = told;
    const { contexts, clock, log } = this.#deps;
    const { tenantId, userId } = question.caller;
    const at = clock.now();
    const conversation = { feedId: feed.id, ...(topic === undefined ? {} : { topic }), userId };
    const jobs = [contexts.remember(conversation, { at, question: prompt.question, answer: completion.text })];
    if (question.broadcast && feed.tenantId === tenantId) {
      const payload = { feedId: feed.id, answer: completion.text, provider, timestamp: new Date(at).toISOString() };
      jobs.push(
        contexts.broadcast(feed.id, [
          {
            key: feedKeys.llm(feed.id),
            wire: JSON.stringify({ type: "llm-broadcast", payload }),
            ext: {
              ts: at,
              run: `${MANUAL_RUN}${question.callId}`,
              model: completion.model,
              promptVersion: PROMPT_VERSION,
              tokens: completion.usage.totalTokens,
              window: [window.oldestSeq, window.newestSeq],
            },
          },
        ]),
      );
    }
    const done = Promise.allSettled(jobs).then((outcomes) => {
      for (const outcome of outcomes)
        if (outcome.status === "rejected") log.warn({ err: outcome.reason, feedId: feed.id }, "llm.afterwards_failed");
    });
    // A lane that is moving finishes this later.
    await Promise.race([done, setTimeout(AFTERWARDS_WITHIN_MS, undefined, { ref: false })]);
  }
}

const QUESTION_CODES = {
  "question is required": "QUESTION_REQUIRED",
  "question is too long": "QUESTION_TOO_LONG",
  "systemPrompt is too long": "SYSTEM_PROMPT_TOO_LONG",
} as const;

/** A provider's failure, with what it cost. */
class BilledRefusal extends Refusal {
  readonly tokens: number;
  constructor(code: "PROVIDER_ERROR" | "PROVIDER_TIMED_OUT", message: string, tokens: number, cause: ProviderError) {
    super(code, { message, retryAfterMs: cause.retryAfterMs, cause });
    this.tokens = tokens;
  }
}

function promptOf(provider: Provider, feed: FeedRecord, topic: string | undefined, question: Question, known: KnownContext): Prompt {
  return promptFor(provider, {
    feed,
    topic,
    question: question.question,
    systemPrompt: question.systemPrompt,
    entries: known.window?.entries ?? [],
    memory: known.memory,
  });
}

/** Calls of edges (`llm.call`) onto manual calls, in the words of `/ws`. Tests: serve-calls.int.test.ts. */
import { callService, LlmFailure, type LlmHandler, type LlmServing, type Nats, RpcError, serveLlmCalls } from "@headwater/messaging";
import { API_ERRORS, type LlmCall } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { ProviderPool } from "../adapters/provider-pool.ts";
import { contextView, providersView } from "./call-views.ts";
import type { ManualCalls } from "./manual-calls.ts";
import { Refusal } from "../domain/refusal.ts";

/** On `/ws` a missing provider is a missing service. */
const NOT_CONFIGURED = "LLM service not configured";

/** A word that found nobody: the signal has told it as well, and ends the call. */
function callIsOver(): void {}

export interface ServeCallsDeps {
  nats: Nats;
  manual: ManualCalls;
  providers: ProviderPool;
  log: Logger;
}

export function serveCalls({ nats, manual, providers, log }: ServeCallsDeps): LlmServing {
  const handler: LlmHandler = async (call, out) => {
    try {
      return await answer(call, out);
    } catch (error) {
      if (error instanceof Refusal)
        throw new LlmFailure(error.status, error.code === "NO_PROVIDERS" ? NOT_CONFIGURED : error.message, {
          retryAfterMs: error.retryAfterMs,
          cause: error,
        });
      throw error;
    }
  };

  const answer: LlmHandler = async (call, out) => {
    if (call.kind === "providers") return { ...providersView(providers) };
    const { caller, feedId, topic } = call;
    if (caller === undefined) throw new LlmFailure(API_ERRORS.MISSING_TOKEN.status, API_ERRORS.MISSING_TOKEN.message);
    switch (call.kind) {
      case "query":
      case "analyze": {
        const { callId, question, systemPrompt, provider, stream } = call;
        const asked = { callId, caller, feedId, topic, question, systemPrompt, provider };
        const told: Promise<void>[] = [];
        const hooks = {
          signal: out.signal,
          // The service's half of the wire keeps the order and waits for credit; a caller that left is told by the signal. The provider is not
          // held back meanwhile: its answer is bounded, and a slow reader shall neither keep a place at it nor make it look slow.
          ...(stream ? { onToken: (piece: string): void => void told.push(out.token(piece).catch(callIsOver)) } : {}),
        };
        const result = call.kind === "query" ? await manual.ask({ ...asked, broadcast: false }, hooks) : await manual.analyze(asked, hooks);
        await Promise.all(told);
        return result;
      }
      case "context": {
        const { feed, window } = await manual.context(caller, feedId, topic);
        // Its own text: numbers stay as they were written until somebody parses it.
        return { json: contextView(feed, window) };
      }
      case "clear-context":
        return { ...(await manual.clear(caller, feedId, topic, call.callId)) };
      case "toggle-auto-analysis":
        return await toggle(call, caller.tenantId);
    }
  };

  const toggle = async (call: LlmCall, tenantId: string): Promise<Record<string, unknown>> => {
    if (call.caller === undefined || call.enabled === undefined) throw new Refusal("INVALID_PAYLOAD");
    const { feed } = manual.owned(call.caller, call.feedId, undefined);
    try {
      await callService(nats, "routing", "auto-analysis", { tenantId, feedId: feed.id, enabled: call.enabled });
    } catch (error) {
      // Deleted, or given away, while we asked.
      if (error instanceof RpcError && error.status < 500) throw new Refusal("FEED_NOT_FOUND", { cause: error });
      throw new Refusal("SERVICE_UNAVAILABLE", { retryAfterMs: 1_000, cause: error });
    }
    return { feedId: feed.id, enabled: call.enabled };
  };

  return serveLlmCalls(nats, handler, { log });
}

/**
 * Questions of `/ws` as calls to intelligence: turns the outcome of a call into the events and error texts of this socket.
 * Tests: llm-calls.test.ts, feeds-llm.int.test.ts.
 */
import type { LlmClient, LlmOutcome } from "@headwater/messaging";
import { API_ERRORS, LlmAnswer, SOCKET_ERRORS } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { LlmEvent, LlmPort } from "./llm-port.ts";

/** Messages of the socket wait behind a toggle, so it may not take long. */
const TOGGLE_WITHIN_MS = 5_000;
/** REST and socket name some failures differently; these are REST's texts for a service without providers. */
const NO_PROVIDERS = /^No LLM providers configured/;

export function createLlmPort(client: LlmClient, log: Logger): LlmPort {
  return {
    ask(question, onEvent) {
      const leave = new AbortController();
      const answer = async (): Promise<void> => {
        const outcome = await client.call(
          { kind: "query", ...question },
          { onToken: (text) => onEvent({ type: "token", text }), signal: leave.signal },
        );
        if (leave.signal.aborted) return;
        for (const event of lastEvents(outcome)) await onEvent(event);
      };
      answer().catch((error: unknown) => {
        log.error({ err: error }, "socket.question_failed");
        if (!leave.signal.aborted) void onEvent({ type: "error", message: API_ERRORS.INTERNAL.message });
      });
      return () => leave.abort();
    },
    async setAutoAnalysis({ caller, feedId, enabled }) {
      const signal = AbortSignal.timeout(TOGGLE_WITHIN_MS);
      const outcome = await client.call({ kind: "toggle-auto-analysis", caller, feedId, enabled, stream: false }, { signal });
      if (outcome.ok) return { ok: true };
      return { ok: false, message: signal.aborted ? API_ERRORS.REQUEST_TIMEOUT.message : socketText(outcome) };
    },
  };
}

/** The bill comes before the answer. */
function lastEvents(outcome: LlmOutcome): LlmEvent[] {
  if (!outcome.ok) return [{ type: "error", message: socketText(outcome) }];
  const answer = LlmAnswer.safeParse(outcome.result);
  if (!answer.success) return [{ type: "error", message: API_ERRORS.INTERNAL.message }];
  const { tokenUsage } = answer.data;
  return [...(tokenUsage ? [{ type: "usage", tokenUsage } as const] : []), { type: "done", answer: answer.data }];
}

function socketText({ status, message }: { status: number; message: string }): string {
  if (status === 404) return SOCKET_ERRORS.feed_not_found;
  return NO_PROVIDERS.test(message) ? SOCKET_ERRORS.llm_off : message;
}

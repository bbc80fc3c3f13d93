/**
 * The asking half of calls to intelligence (`llm.call`): numbered chunks to an inbox of our own, credit after tokens were taken, cancellation
 * at once, and an end for every call whatever happens to the other side. Shapes: protocol/llm.ts. Answered by llm-server.ts.
 * Tests: llm-client.int.test.ts.
 */
import {
  API_ERRORS,
  LLM_ALIVE_MS,
  LLM_CREDIT,
  type LlmAnswer,
  type LlmCall,
  LlmChunk,
  type LlmControl,
  subjects,
} from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { type Msg, type Nats, newInbox, type Subscription } from "./connection.ts";
import { randomId } from "./ids.ts";

export type LlmResult = LlmAnswer | Record<string, unknown>;

/** `message` is the contract's text, `status` what REST answers. 499: the caller itself cancelled. */
export type LlmOutcome = { ok: true; result: LlmResult } | { ok: false; status: number; message: string; retryAfterMs?: number };

export type LlmRequest = Omit<LlmCall, "v" | "callId">;

export interface LlmCallHooks {
  /** In order, one at a time; while its promise is open the service is held back. What it throws ends the call and rejects it. */
  onToken?(text: string): void | Promise<void>;
  /** Aborting cancels the call and settles it at once with 499. */
  signal?: AbortSignal;
}

export interface LlmClient {
  /** Tokens of a call are all handed over before it settles with `ok`. Rejects only with what `onToken` throws. */
  call(request: LlmRequest, hooks?: LlmCallHooks): Promise<LlmOutcome>;
}

export interface LlmClientOptions {
  clock: Clock;
  log: Logger;
  /** Time between two signs of life of the service, ms; three silent ones end a call. Default `LLM_ALIVE_MS`. */
  aliveMs?: number;
}

export const LLM_NOT_CONFIGURED = "LLM service not configured";
const CANCELLED: LlmOutcome = { ok: false, status: 499, message: "cancelled" };
const NOBODY: LlmOutcome = { ok: false, status: 503, message: LLM_NOT_CONFIGURED };
const DISCONNECTED: LlmOutcome = { ok: false, ...API_ERRORS.SERVICE_UNAVAILABLE };
const SILENT: LlmOutcome = { ok: false, ...API_ERRORS.REQUEST_TIMEOUT };
/** Chunks were lost, or are not what the contract says: the answer cannot be put together any more. */
const BROKEN: LlmOutcome = { ok: false, status: 502, message: "LLM service error: answer was cut" };

const SILENT_PERIODS = 3;
/** Credit goes out after so many chunks were taken. */
const CREDIT_EVERY = LLM_CREDIT / 4;
/** So many only wait when the service does not keep to the credit. */
const MAX_WAITING_TOKENS = LLM_CREDIT * 2;
const NO_RESPONDERS = 503;

export function createLlmClient(nats: Nats, options: LlmClientOptions): LlmClient {
  const { clock, log, aliveMs = LLM_ALIVE_MS } = options;
  return {
    async call(request, hooks = {}) {
      if (hooks.signal?.aborted) return CANCELLED;
      // While disconnected the client would queue the call and ask long after anybody cares.
      if (!nats.connected()) return DISCONNECTED;
      const began = clock.monotonicMs();
      const call: LlmCall = { v: 1, callId: randomId(), ...request };
      const outcome = await new RunningCall(nats, call, hooks, aliveMs, log).settled;
      const status = outcome.ok ? 200 : outcome.status;
      log.debug({ callId: call.callId, kind: call.kind, status, ms: Math.round(clock.monotonicMs() - began) }, "llm.call_ended");
      return outcome;
    },
  };
}

class RunningCall {
  readonly settled: Promise<LlmOutcome>;
  readonly #nats: Nats;
  readonly #callId: string;
  readonly #hooks: LlmCallHooks;
  readonly #log: Logger;
  readonly #result = Promise.withResolvers<LlmOutcome>();
  readonly #inbox: Subscription;
  readonly #watch: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#giveUp(CANCELLED);
  readonly #waiting: { n: number; text: string }[] = [];
  /** Number of the next chunk. */
  #next = 0;
  /** All chunks below this number were taken. */
  #taken = 0;
  #credited = 0;
  #silentPeriods = 0;
  #isTaking = false;
  #isEnded = false;
  /** The service's last word, once it came. */
  #last: LlmOutcome | undefined;

  constructor(nats: Nats, call: LlmCall, hooks: LlmCallHooks, aliveMs: number, log: Logger) {
    this.#nats = nats;
    this.#callId = call.callId;
    this.#hooks = hooks;
    this.#log = log;
    this.settled = this.#result.promise;
    const inbox = newInbox(nats);
    this.#inbox = nats.core.subscribe(inbox, { callback: (msg) => this.#receive(msg) });
    // Counted in periods, not measured: a process that stood still itself must not take that for silence.
    this.#watch = setInterval(() => {
      if (++this.#silentPeriods >= SILENT_PERIODS) this.#giveUp(SILENT);
    }, aliveMs);
    hooks.signal?.addEventListener("abort", this.#onAbort, { once: true });
    nats.core.publish(subjects.llmCall(), JSON.stringify(call), { reply: inbox });
  }

  #receive(msg: Msg): void {
    if (this.#isEnded) return;
    if (msg.status === NO_RESPONDERS) return this.#end(NOBODY);
    this.#silentPeriods = 0;
    const chunk = parseChunk(msg.data);
    if (chunk?.n !== this.#next || this.#last) {
      this.#log.warn({ callId: this.#callId, expected: this.#next, got: chunk?.n }, "llm.chunk_lost");
      return this.#giveUp(BROKEN);
    }
    this.#next++;
    switch (chunk.type) {
      case "alive":
        // Told again on purpose: a lost credit would hold the service for ever.
        if (!this.#isTaking) this.#credit();
        return undefined;
      case "token":
        if (this.#waiting.length >= MAX_WAITING_TOKENS) return this.#giveUp(BROKEN);
        this.#waiting.push(chunk);
        break;
      case "done":
        this.#last = { ok: true, result: chunk.result };
        break;
      case "error": {
        const { status, message, retryAfterMs } = chunk;
        this.#last = { ok: false, status, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
        break;
      }
    }
    if (!this.#isTaking) void this.#take();
    return undefined;
  }

  async #take(): Promise<void> {
    this.#isTaking = true;
    try {
      for (let chunk = this.#waiting.shift(); chunk && !this.#isEnded; chunk = this.#waiting.shift()) {
        const open = this.#hooks.onToken?.(chunk.text);
        if (open) await open;
        this.#taken = chunk.n + 1;
        if (this.#taken - this.#credited >= CREDIT_EVERY && !this.#last && !this.#isEnded)
          this.#control({ type: "credit", upTo: this.#taken });
      }
    } catch (error) {
      this.#result.reject(error);
      this.#giveUp(CANCELLED);
    }
    this.#isTaking = false;
    if (this.#last) this.#end(this.#last);
  }

  #credit(): void {
    this.#taken = this.#next;
    this.#control({ type: "credit", upTo: this.#taken });
  }

  #control(control: LlmControl): void {
    if (control.type === "credit") this.#credited = control.upTo;
    if (!this.#nats.closed) this.#nats.core.publish(subjects.llmControl(this.#callId), JSON.stringify(control));
  }

  /** Ends the call from this side: nobody shall go on paying for it. */
  #giveUp(outcome: LlmOutcome): void {
    if (this.#isEnded) return;
    this.#control({ type: "cancel" });
    this.#end(outcome);
  }

  #end(outcome: LlmOutcome): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#watch);
    this.#hooks.signal?.removeEventListener("abort", this.#onAbort);
    if (!this.#nats.closed) this.#inbox.unsubscribe();
    this.#result.resolve(outcome);
  }
}

function parseChunk(data: Uint8Array): LlmChunk | undefined {
  try {
    return LlmChunk.safeParse(JSON.parse(new TextDecoder().decode(data))).data;
  } catch {
    // Not JSON: the caller treats it like a lost chunk.
    return undefined;
  }
}

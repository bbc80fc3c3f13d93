/**
 * The answering half of calls to intelligence (`llm.call`, queue group `llm`): numbers the chunks, keeps at most `LLM_CREDIT` of them ahead of
 * the caller, says that it is alive, and aborts the work when the caller cancels or takes nothing. Asked by llm-client.ts.
 * Tests: llm-client.int.test.ts.
 */
import {
  API_ERRORS,
  LLM_ALIVE_MS,
  LLM_CREDIT,
  LlmCall,
  type LlmChunk,
  LlmControl,
  NATS_MAX_PAYLOAD_BYTES,
  subjects,
} from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import { connectionOf, type Nats } from "./connection.ts";
import type { LlmResult } from "./llm-client.ts";

export interface LlmOut {
  /** Sends a piece of the answer, waiting for the caller's credit. Does nothing for a call without `stream`. Rejects when the call is over. */
  token(text: string): Promise<void>;
  /** Aborted when the caller cancels or takes nothing for too long, and when the service stops. */
  signal: AbortSignal;
}

/** Gives the result; refuses by throwing {@link LlmFailure}. Anything else travels as `internal error` without detail. */
export type LlmHandler = (call: LlmCall, out: LlmOut) => Promise<LlmResult>;

/** `message` is the contract's text and reaches the client as it is. */
export class LlmFailure extends Error {
  override readonly name = "LlmFailure";
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  constructor(status: number, message: string, options: { retryAfterMs?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.status = status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface LlmServerOptions {
  log: Logger;
  /** Default `LLM_ALIVE_MS`. */
  aliveMs?: number;
  /** A caller that gives no credit for this long is given up, ms. */
  creditWithinMs?: number;
}

export interface LlmServing {
  /** Calls being worked on. */
  running(): number;
  /** Takes no more calls, lets the running ones end for `graceMs` (default 0), then aborts them; their callers get 503. Idempotent. */
  stop(graceMs?: number): Promise<void>;
}

const QUEUE_GROUP = "llm";
const CREDIT_WITHIN_MS = 30_000;
/** A longer token travels in pieces, so that the credit bounds bytes too. UTF-16 units. */
const MAX_TOKEN_LENGTH = 16_384;
/** Room for protocol overhead below the broker's limit. */
const MAX_CHUNK_BYTES = NATS_MAX_PAYLOAD_BYTES - 4_096;

type Unnumbered<T> = T extends unknown ? Omit<T, "n"> : never;
type Word = Unnumbered<LlmChunk>;

const refusal = ({ status, message }: { status: number; message: string }): Word => ({ type: "error", status, message });

export function serveLlmCalls(nats: Nats, handler: LlmHandler, options: LlmServerOptions): LlmServing {
  const { log } = options;
  const running = new Map<string, ServedCall>();
  const idle = new Set<() => void>();
  const decoder = new TextDecoder();
  const connection = connectionOf(nats);

  const start = (call: LlmCall, reply: string): void => {
    const served = new ServedCall(nats, reply, call, options);
    running.set(call.callId, served);
    void served.run(handler).finally(() => {
      running.delete(call.callId);
      if (running.size === 0) for (const resolve of idle) resolve();
    });
  };

  // Before the calls: a cancellation right behind its call finds it, because one connection gets both in order.
  const controls = connection.subscribe(subjects.allLlmControls(), {
    callback: (error, msg) => {
      if (error) return log.error({ err: error }, "nats.subscription_failed");
      const served = running.get(msg.subject.slice(msg.subject.lastIndexOf(".") + 1));
      if (!served) return undefined;
      const control = LlmControl.safeParse(parseJson(decoder.decode(msg.data)));
      return control.success ? served.control(control.data) : log.warn({ subject: msg.subject }, "llm.control_unreadable");
    },
  });
  const calls = connection.subscribe(subjects.llmCall(), {
    queue: QUEUE_GROUP,
    callback: (error, msg) => {
      if (error) return log.error({ err: error }, "nats.subscription_failed");
      // Nobody waits for the answer of a call without an inbox.
      if (!msg.reply) return undefined;
      const call = LlmCall.safeParse(parseJson(decoder.decode(msg.data)));
      if (call.success && !running.has(call.data.callId)) return start(call.data, msg.reply);
      log.warn({ isDuplicate: call.success }, "llm.call_refused");
      return nats.core.publish(msg.reply, JSON.stringify({ n: 0, ...refusal(API_ERRORS.INVALID_PAYLOAD) }));
    },
  });

  return {
    running: () => running.size,
    async stop(graceMs = 0) {
      // What the broker sent before it knew is still served. A drain waits for the broker; without one nothing more comes.
      if (nats.connected() && !calls.isClosed() && !calls.isDraining()) await calls.drain();
      else if (!nats.closed) calls.unsubscribe();
      if (running.size > 0 && graceMs > 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        idle.add(resolve);
        const timer = setTimeout(resolve, graceMs);
        await promise;
        clearTimeout(timer);
        idle.delete(resolve);
      }
      for (const served of running.values()) served.refuse(API_ERRORS.SERVICE_UNAVAILABLE);
      if (!nats.closed) controls.unsubscribe();
    },
  };
}

class ServedCall {
  readonly #nats: Nats;
  readonly #reply: string;
  readonly #call: LlmCall;
  readonly #log: Logger;
  readonly #creditWithinMs: number;
  readonly #abort = new AbortController();
  readonly #alive: NodeJS.Timeout;
  #next = 0;
  /** The caller took all chunks below this number. */
  #taken = 0;
  #onCredit: (() => void) | undefined;
  /** Tokens go out one after the other, also when the handler does not wait for each. */
  #tokens: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(nats: Nats, reply: string, call: LlmCall, options: LlmServerOptions) {
    this.#nats = nats;
    this.#reply = reply;
    this.#call = call;
    this.#log = options.log;
    this.#creditWithinMs = options.creditWithinMs ?? CREDIT_WITHIN_MS;
    this.#alive = setInterval(() => this.#send({ type: "alive" }), options.aliveMs ?? LLM_ALIVE_MS);
  }

  async run(handler: LlmHandler): Promise<void> {
    try {
      const result = await handler(this.#call, { token: (text) => this.#token(text), signal: this.#abort.signal });
      await this.#tokens;
      this.#finish({ type: "done", result });
    } catch (error) {
      // After a cancellation whatever the handler throws is its way to stop.
      if (this.#isOver) return;
      if (error instanceof LlmFailure) {
        const { status, message, retryAfterMs } = error;
        return this.#finish({ type: "error", status, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
      }
      this.#log.error({ err: error, callId: this.#call.callId, kind: this.#call.kind }, "llm.handler_failed");
      this.#finish(refusal(API_ERRORS.INTERNAL));
    }
  }

  control(control: LlmControl): void {
    if (control.type === "cancel") return this.#stop(new LlmFailure(499, "cancelled"));
    this.#taken = Math.max(this.#taken, control.upTo);
    this.#onCredit?.();
  }

  /** Ends the call from this side. */
  refuse(error: { status: number; message: string }): void {
    this.#finish(refusal(error));
    this.#stop(new LlmFailure(error.status, error.message));
  }

  #stop(reason: LlmFailure): void {
    this.#over();
    this.#abort.abort(reason);
    this.#onCredit?.();
  }

  #token(text: string): Promise<void> {
    const sent = this.#tokens.then(() => this.#sendToken(text));
    this.#tokens = sent.catch(alreadyTold);
    return sent;
  }

  async #sendToken(text: string): Promise<void> {
    if (!this.#call.stream) return this.#abort.signal.throwIfAborted();
    for (const piece of pieces(text)) {
      await this.#credit();
      this.#send({ type: "token", text: piece });
    }
  }

  async #credit(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted && this.#next >= this.#taken + LLM_CREDIT) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onCredit = resolve;
      const timer = setTimeout(() => this.refuse(API_ERRORS.REQUEST_TIMEOUT), this.#creditWithinMs);
      await promise;
      clearTimeout(timer);
      this.#onCredit = undefined;
    }
    signal.throwIfAborted();
  }

  #finish(word: Word): void {
    if (this.#isOver) return;
    this.#send(word);
    this.#over();
  }

  #over(): void {
    this.#isOver = true;
    clearInterval(this.#alive);
  }

  #send(word: Word): void {
    if (this.#isOver || this.#nats.closed) return;
    let text = JSON.stringify({ n: this.#next, ...word });
    if (Buffer.byteLength(text) > MAX_CHUNK_BYTES) {
      this.#log.error({ callId: this.#call.callId, kind: this.#call.kind, length: text.length }, "llm.answer_too_large");
      text = JSON.stringify({ n: this.#next, ...refusal(API_ERRORS.INTERNAL) });
    }
    this.#next++;
    this.#nats.core.publish(this.#reply, text);
  }
}

/** Whoever asked for the token has the error; the ones behind it find out by themselves. */
function alreadyTold(): undefined {
  return undefined;
}

/** Cut between code points: every piece is well-formed text. */
function* pieces(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + MAX_TOKEN_LENGTH, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last < 0xdc00) end--;
    yield text.slice(at, end);
    at = end;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // undefined is no valid call or control either.
    return undefined;
  }
}

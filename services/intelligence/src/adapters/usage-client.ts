/**
 * The month's token counters, kept by auth (`svc.auth.usage`): looked up with a short memory, judged together with what is being spent, added to
 * once per id. What could not be added goes on being tried while the process lives. Tests: usage-client.test.ts.
 */
import { callService, RpcError, type Nats } from "@headwater/messaging";
import { type TokenUsage, UsageAnswer, type UsageRequest } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { Budget, type Reservation } from "../domain/budget.ts";
import type { Usage, UsageCheck } from "../ports.ts";

export interface UsageClientOptions {
  clock: Clock;
  log: Logger;
  /** Of the overdraft; undefined: none. */
  hardLimit: number | undefined;
  /** Replaces the question over NATS in unit tests. */
  ask?: (request: UsageRequest) => Promise<unknown>;
  retryMs?: number;
  /** An addition waits for auth, or was dropped. */
  onBacklog?: (waiting: number, dropped: number) => void;
}

export type UsageReservation = { ok: true; tokenUsage: TokenUsage | undefined; settle(): void } | Exclude<UsageCheck, { ok: true }>;

export interface UsageClient extends Usage {
  /** As `check`, and takes `tokens` into account for others until `settle`. */
  reserve(tenantId: string, tokens: number): Promise<UsageReservation>;
  /** Additions that auth has not taken yet. */
  waiting(): number;
  stop(): Promise<void>;
}

const FRESH_MS = 5_000;
/** While auth is away an older answer is better than none. */
const STALE_MS = 600_000;
const ASK_TIMEOUT_MS = 2_000;
const RETRY_MS = 1_000;
const MAX_WAITING = 10_000;
const MAX_TENANTS = 20_000;

interface Known {
  usage: TokenUsage;
  at: number;
}

export function createUsageClient(nats: Nats | undefined, options: UsageClientOptions): UsageClient {
  const { clock, log } = options;
  const budget = new Budget({ hardLimit: options.hardLimit });
  const known = new Map<string, Known>();
  const asking = new Map<string, Promise<TokenUsage>>();
  const waiting = new Map<string, { tenantId: string; id: string; tokens: number }>();
  const retryMs = options.retryMs ?? RETRY_MS;
  let dropped = 0;
  let isFlushing = false;

  const ask =
    options.ask ??
    ((request: UsageRequest) => {
      if (!nats) throw new TypeError("a usage client needs a connection");
      return callService(nats, "auth", "usage", request, { timeoutMs: ASK_TIMEOUT_MS });
    });

  const learn = (tenantId: string, answer: unknown): TokenUsage => {
    const usage = UsageAnswer.parse(answer).tokenUsage;
    known.delete(tenantId);
    known.set(tenantId, { usage, at: clock.monotonicMs() });
    for (const oldest of known.keys()) {
      if (known.size <= MAX_TENANTS) break;
      known.delete(oldest);
    }
    return usage;
  };

  const lookUp = (tenantId: string): Promise<TokenUsage> => {
    const running = asking.get(tenantId);
    if (running) return running;
    const question = ask({ tenantId })
      .then((answer) => learn(tenantId, answer))
      .finally(() => asking.delete(tenantId));
    asking.set(tenantId, question);
    return question;
  };

  /** Undefined: nobody can tell. What still waits to be added counts. */
  const current = async (tenantId: string): Promise<TokenUsage | undefined> => {
    const last = known.get(tenantId);
    const age = last === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() - last.at;
    let usage = last?.usage;
    if (age > FRESH_MS) {
      try {
        usage = await lookUp(tenantId);
      } catch (error) {
        log.warn({ err: error }, "usage.auth_away");
        if (age > STALE_MS) return undefined;
      }
    }
    if (usage === undefined) return undefined;
    let owed = 0;
    for (const addition of waiting.values()) if (addition.tenantId === tenantId) owed += addition.tokens;
    return owed === 0 ? usage : { ...usage, tokensUsed: usage.tokensUsed + owed };
  };

  /** @throws RpcUnavailable: later. @returns undefined when auth refuses it for good. */
  const send = async (addition: { tenantId: string; id: string; tokens: number }): Promise<TokenUsage | undefined> => {
    const { tenantId, id, tokens } = addition;
    try {
      return learn(tenantId, await ask({ tenantId, add: { id, tokens } }));
    } catch (error) {
      if (!(error instanceof RpcError) || error.status >= 500) throw error;
      log.error({ err: error, tokens }, "usage.addition_refused");
      return undefined;
    }
  };

  const flush = async (): Promise<void> => {
    if (isFlushing || waiting.size === 0) return;
    isFlushing = true;
    try {
      for (const [key, addition] of waiting) {
        await send(addition);
        waiting.delete(key);
      }
    } catch (error) {
      log.debug({ err: error, waiting: waiting.size }, "usage.not_added_yet");
    } finally {
      isFlushing = false;
      options.onBacklog?.(waiting.size, dropped);
    }
  };
  const timer = setInterval(() => void flush(), retryMs);
  timer.unref();

  const check = async (tenantId: string): Promise<UsageCheck> => {
    const tokenUsage = await current(tenantId);
    if (tokenUsage === undefined) return { ok: false, reason: "unavailable" };
    return budget.hasTokens(tenantId, tokenUsage) ? { ok: true, tokenUsage } : { ok: false, reason: "quota", tokenUsage };
  };

  return {
    check,
    async reserve(tenantId, tokens) {
      const tokenUsage = await current(tenantId);
      if (tokenUsage === undefined) return { ok: false, reason: "unavailable" };
      const reservation: Reservation | undefined = budget.reserve(tenantId, tokenUsage, tokens);
      if (reservation === undefined) return { ok: false, reason: "quota", tokenUsage };
      return { ok: true, tokenUsage, settle: () => budget.settle(reservation) };
    },
    async add(tenantId, id, tokens) {
      const addition = { tenantId, id, tokens };
      try {
        return await send(addition);
      } catch (error) {
        log.warn({ err: error, tokens }, "usage.addition_waits");
        waiting.set(JSON.stringify([tenantId, id]), addition);
        for (const oldest of waiting.keys()) {
          if (waiting.size <= MAX_WAITING) break;
          waiting.delete(oldest);
          dropped++;
        }
        options.onBacklog?.(waiting.size, dropped);
        return undefined;
      }
    },
    waiting: () => waiting.size,
    async stop() {
      clearInterval(timer);
      await flush();
      if (waiting.size > 0) log.error({ additions: waiting.size }, "usage.additions_lost");
    },
  };
}

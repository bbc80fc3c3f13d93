/**
 * Requests that only the owner of a lane may answer: `rpc.<family>.<lane>.<verb>`. While a lane moves, callers retry until
 * their deadline. Tests: service.int.test.ts.
 */
import { type RequestFamily, subjects } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { RpcError, RpcUnavailable } from "./rpc-error.ts";
import { answerRequest, requestJson, type RpcHandler } from "./service.ts";

/** Answer of an instance that is not (or no longer) the owner: ask again. */
export const NOT_OWNER = "not_owner";

export function notOwner(): RpcError {
  return new RpcError(NOT_OWNER, "this instance does not own the lane", 421);
}

/** Subscribes while the lane is owned; call `stop` before giving it up. */
export function serveLaneRequests(
  nats: Nats,
  family: RequestFamily,
  lane: number,
  handlers: Record<string, RpcHandler>,
  log: Logger,
): { stop(): void } {
  const subscriptions = Object.entries(handlers).map(([verb, handler]) =>
    nats.core.subscribe(subjects.laneRequest(family, lane, verb), { callback: (msg) => void answerRequest(msg, handler, log) }),
  );
  return {
    stop() {
      if (!nats.closed) for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

const FIRST_RETRY_MS = 25;
const MAX_RETRY_MS = 250;

/**
 * Asks the owner of a lane, following it when it moves.
 * @param options.deadlineMs for everything; default 2,000.
 * @param options.attemptMs for one attempt, default the whole deadline. A request that an owner took with it when it died is answered by
 * nobody, so a verb that may be asked twice (a read) sets this and finds the next owner in time.
 * @throws RpcError (refused), RpcUnavailable after `deadlineMs`.
 */
export async function callLane(
  nats: Nats,
  family: RequestFamily,
  lane: number,
  verb: string,
  payload: unknown,
  options: { deadlineMs?: number; attemptMs?: number; headers?: Record<string, string> } = {},
): Promise<unknown> {
  const subject = subjects.laneRequest(family, lane, verb);
  const deadline = performance.now() + (options.deadlineMs ?? 2_000);
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) throw new RpcUnavailable(`${subject}: no owner answered in time`);
    try {
      const timeoutMs = Math.min(options.attemptMs ?? remainingMs, remainingMs);
      return await requestJson(nats, subject, payload, { timeoutMs, headers: options.headers });
    } catch (error) {
      const mayMove = error instanceof RpcUnavailable || (error instanceof RpcError && error.code === NOT_OWNER);
      if (!mayMove) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(retryMs, deadline - performance.now()))));
  }
}

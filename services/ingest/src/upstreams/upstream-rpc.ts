/** What routing asks about upstreams: push of a message, check of a URL, test of a feed. Shapes: protocol upstream-rpc.ts. Tests: upstream-rpc.int.test.ts. */
import { CheckUrlRequest, type FeedRecord, type PushAnswer, PushRequest, TestFeedRequest } from "@headwater/protocol";
import { AppendError, RpcError, type RpcHandler } from "@headwater/messaging";
import type { Clock } from "@headwater/runtime";
import type { z } from "zod";
import { FeedBudget } from "../domain/upstream-budget.ts";
import { type Decoded, jsonOrText, messagesIn, type UpstreamMessage } from "../domain/upstream-message.ts";
import type { FeedDirectory } from "./feed-directory.ts";
import type { FeedLedger, FeedLog } from "./feed-log.ts";
import type { FeedTester } from "./feed-test.ts";
import type { OutboundGuard } from "../adapters/upstreams/outbound-guard.ts";

function parsed<S extends z.ZodType>(schema: S, payload: unknown): z.infer<S> {
  const result = schema.safeParse(payload);
  if (!result.success) throw new RpcError("invalid_payload", "invalid payload", 400);
  return result.data;
}

/** Endpoints of `svc.ingest`. */
export function upstreamEndpoints(guard: OutboundGuard, tester: FeedTester): Record<string, RpcHandler> {
  return {
    "check-url": async (payload) => {
      const { url, connectionType } = parsed(CheckUrlRequest, payload);
      return { verdict: await guard.check(url, connectionType) };
    },
    "test-feed": (payload) => tester.test(parsed(TestFeedRequest, payload)),
  };
}

export interface PushDeps {
  directory: FeedDirectory;
  feedLog: FeedLog;
  /** @throws RpcError `not_owner` */
  ledgerOf(feedId: string): FeedLedger;
  clock: Clock;
}

/** Handlers of `rpc.upstreams.<lane>`. */
export function pushHandlers(deps: PushDeps): Record<string, RpcHandler> {
  return {
    push: async (payload): Promise<PushAnswer> => {
      const { feedId, json, eventName } = parsed(PushRequest, payload);
      const record = deps.directory.get(feedId);
      if (!record) throw new RpcError("not_found", "feed not found", 404);
      const decoded: Decoded = { messages: [], dropped: [] };
      jsonOrText(json, decoded);
      const [message] = decoded.messages;
      if (message?.kind !== "json") throw new RpcError("invalid_payload", "invalid payload", 400);
      const ledger = deps.ledgerOf(feedId);
      if (!hasRoom(ledger, message, record, deps)) throw new RpcError("rate_limited", "too many messages", 429);
      const ts = deps.clock.now();
      const name = eventName === record.eventName ? undefined : eventName;
      try {
        await deps.feedLog.push(ledger, message.text, ts, name);
      } catch (error) {
        if (error instanceof AppendError) throw new RpcError("unavailable", "service unavailable", 503);
        if (error instanceof RangeError) throw new RpcError("too_large", "payload too large", 413);
        throw error;
      }
      return { ts };
    },
  };
}

function hasRoom(ledger: FeedLedger, message: UpstreamMessage, record: FeedRecord, { directory, clock }: PushDeps): boolean {
  const now = clock.monotonicMs();
  const rates = directory.ratesOf(record);
  ledger.pushBudget ??= new FeedBudget(rates, now);
  ledger.pushBudget.setRates(rates);
  if (ledger.pushBudget.take(Buffer.byteLength(message.text), now) !== "take") return false;
  ledger.pushBudget.charge(0, messagesIn(message, record) - 1);
  return true;
}

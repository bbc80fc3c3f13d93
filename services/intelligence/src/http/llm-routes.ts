/** `/api/llm/*`: questions, streams, contexts, providers. Tests: llm-routes.int.test.ts. */
import { ApiError, type ApiShell, sessionOf } from "@headwater/api-http";
import { randomId } from "@headwater/messaging";
import { LlmAnalyzeRequest, type LlmAnswer, LlmQueryRequest } from "@headwater/protocol";
import type { Request, Response } from "express";
import type { ProviderPool } from "../adapters/provider-pool.ts";
import { contextView, providersView } from "../calls/call-views.ts";
import type { AnswerHooks, Caller, ManualCalls, Question } from "../calls/manual-calls.ts";
import { NO_PROVIDERS_SHORT } from "../domain/provider-selection.ts";
import { Refusal } from "../domain/refusal.ts";
import { openAnswerStream } from "./event-stream.ts";

export interface LlmRouteDeps {
  manual: ManualCalls;
  providers: ProviderPool;
  keepAliveMs?: number;
}

export function llmRoutes(shell: Pick<ApiShell, "routes" | "session" | "json">, deps: LlmRouteDeps): void {
  const { manual, providers } = deps;

  shell.routes.get("/api/llm/providers", (_req, res) => void res.json(providersView(providers)));

  shell.routes.post("/api/llm/query", shell.session, shell.json, async (req, res) => {
    const question = questionOf(req);
    await answerWhole(req, res, (hooks) => manual.ask(question, hooks));
  });

  shell.routes.post("/api/llm/analyze", shell.session, shell.json, async (req, res) => {
    const body = LlmAnalyzeRequest.parse(req.body);
    const question = {
      callId: randomId(),
      caller: callerOf(req),
      feedId: body.feedId ?? undefined,
      topic: body.topic ?? undefined,
      question: body.customPrompt ?? undefined,
      provider: body.provider ?? undefined,
    };
    await answerWhole(req, res, (hooks) => manual.analyze(question, hooks), NO_PROVIDERS_SHORT);
  });

  shell.routes.post("/api/llm/query/stream", shell.session, shell.json, async (req, res) => {
    const question = questionOf(req);
    res.locals["timeoutMs"] = 0;
    const stream = openAnswerStream(req, res, deps.keepAliveMs);
    try {
      const { provider, feedId, tokensUsed, durationMs } = await manual.ask(question, {
        signal: leaving(res),
        onToken: (piece) => stream.token(piece),
      });
      await stream.done({ provider, feedId, tokensUsed, durationMs });
    } catch (error) {
      if (res.destroyed) return;
      if (!stream.hasBegun()) throw toApiError(error, NO_PROVIDERS_SHORT);
      if (!(error instanceof Refusal)) {
        await stream.fail("internal error");
        throw error;
      }
      await stream.fail(error.message);
    } finally {
      stream.stop();
    }
  });

  shell.routes.get("/api/llm/context/:feedId", shell.session, async (req, res) => {
    try {
      const { feed, window } = await manual.context(callerOf(req), feedIdOf(req), topicOf(req));
      res.type("application/json").send(contextView(feed, window));
    } catch (error) {
      throw toApiError(error);
    }
  });

  shell.routes.delete("/api/llm/context/:feedId", shell.session, async (req, res) => {
    try {
      const { feedId } = await manual.clear(callerOf(req), feedIdOf(req), topicOf(req), randomId());
      res.json({ message: "context cleared", feedId });
    } catch (error) {
      throw toApiError(error);
    }
  });
}

function callerOf(req: Request): Caller {
  const { tenantId, userId } = sessionOf(req);
  return { tenantId, userId };
}

function questionOf(req: Request): Question {
  const body = LlmQueryRequest.parse(req.body);
  return {
    callId: randomId(),
    caller: callerOf(req),
    feedId: body.feedId ?? undefined,
    topic: body.topic ?? undefined,
    question: body.question ?? undefined,
    systemPrompt: body.systemPrompt ?? undefined,
    provider: body.provider ?? undefined,
    broadcast: body.broadcast !== false,
  };
}

function feedIdOf(req: Request): string | undefined {
  const id = req.params["feedId"];
  return typeof id === "string" ? id : undefined;
}

function topicOf(req: Request): string | undefined {
  const topic = req.query["topic"];
  if (topic !== undefined && typeof topic !== "string") throw new ApiError("INVALID_PAYLOAD");
  return topic;
}

/** Aborted when the caller hangs up before the answer is complete. */
function leaving(res: Response): AbortSignal {
  const gone = new AbortController();
  if (res.destroyed) gone.abort(new Error("the caller left"));
  res.once("close", () => {
    if (!res.writableFinished) gone.abort(new Error("the caller left"));
  });
  return gone.signal;
}

async function answerWhole(
  _req: Request,
  res: Response,
  ask: (hooks: AnswerHooks) => Promise<LlmAnswer>,
  noProviders?: string,
): Promise<void> {
  // A provider may take longer than other requests; its own time limit ends the call.
  res.locals["timeoutMs"] = 0;
  try {
    const { answer, provider, feedId, tokensUsed, durationMs } = await ask({ signal: leaving(res) });
    res.json({ answer, provider, feedId, tokensUsed, durationMs });
  } catch (error) {
    if (res.destroyed) return;
    throw toApiError(error, noProviders);
  }
}

function toApiError(error: unknown, noProviders?: string): unknown {
  if (!(error instanceof Refusal)) return error;
  const { code, status, message, retryAfterMs } = error;
  const shown = code === "NO_PROVIDERS" && noProviders !== undefined ? noProviders : message;
  return new ApiError(
    code,
    {
      status,
      message: shown,
      ...(code === "RATE_LIMITED" ? { fields: { error: "too_many_requests" } } : {}),
      ...(retryAfterMs === undefined ? {} : { headers: { "Retry-After": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) } }),
    },
    { cause: error },
  );
}

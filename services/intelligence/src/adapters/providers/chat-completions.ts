/**
 * The chat completions protocol through the `openai` SDK: OpenAI itself, Azure, Mistral and Grok. One retry without a parameter the model does
 * not know; other retries are not its business. Tests: providers.int.test.ts.
 */
import type OpenAI from "openai";
import { type Completion, type CompletionRequest, countedUsage, estimatedUsage, type Provider, type Usage } from "../../domain/provider.ts";
import { asProviderError, badAnswer } from "./errors.ts";
import type { ProviderContext } from "./row.ts";

type Params = OpenAI.ChatCompletionCreateParamsNonStreaming;
/** Parameters we can do without, or say differently, when a model refuses them with 400. */
type Optional = "max_tokens" | "temperature" | "stream_options";

export function chatCompletions(id: string, model: string, client: OpenAI, context: ProviderContext): Provider {
  return {
    id,
    model,
    async complete(request) {
      const progress = { text: "" };
      const refused = new Set<Optional>();
      for (;;) {
        try {
          return await (request.onToken ? stream(request, progress, refused) : once(request, refused));
        } catch (error) {
          const parameter = progress.text === "" ? refusedParameter(error) : undefined;
          if (parameter === undefined || refused.has(parameter))
            throw asProviderError(error, request.signal, context.now(), progress.text !== "");
          refused.add(parameter);
        }
      }
    },
  };

  function params(request: CompletionRequest, refused: ReadonlySet<Optional>): Params {
    return {
      model,
      messages: [{ role: "system", content: request.system }, ...request.messages],
      ...(refused.has("max_tokens") ? { max_completion_tokens: request.maxTokens } : { max_tokens: request.maxTokens }),
      ...(refused.has("temperature") ? {} : { temperature: request.temperature }),
    };
  }

  async function once(request: CompletionRequest, refused: ReadonlySet<Optional>): Promise<Completion> {
    const answer = await client.chat.completions.create(params(request, refused), { signal: request.signal });
    const text: unknown = answer?.choices?.[0]?.message?.content;
    if (typeof text !== "string" && text !== null) throw badAnswer("unreadable answer");
    if (text === null || text === "") throw badAnswer("empty answer");
    return { text, usage: usageOf(answer.usage) ?? estimatedUsage(request, text.length), model: answer.model || model };
  }

  async function stream(request: CompletionRequest, progress: { text: string }, refused: ReadonlySet<Optional>): Promise<Completion> {
    const chunks = await client.chat.completions.create(
      { ...params(request, refused), stream: true, ...(refused.has("stream_options") ? {} : { stream_options: { include_usage: true } }) },
      { signal: request.signal },
    );
    let usage: Usage | undefined;
    let isFinished = false;
    let answered = model;
    for await (const chunk of chunks) {
      const choice = chunk.choices?.[0];
      const piece: unknown = choice?.delta?.content;
      if (typeof piece === "string" && piece !== "") {
        progress.text += piece;
        request.onToken?.(piece);
      }
      if (choice?.finish_reason) isFinished = true;
      usage = usageOf(chunk.usage) ?? usage;
      answered = chunk.model || answered;
    }
    // The SDK ends the loop quietly when the caller left.
    request.signal.throwIfAborted();
    if (!isFinished) throw badAnswer(progress.text === "" ? "empty answer" : "answer broke off");
    if (progress.text === "") throw badAnswer("empty answer");
    return { text: progress.text, usage: usage ?? estimatedUsage(request, progress.text.length), model: answered };
  }
}

function usageOf(usage: OpenAI.CompletionUsage | null | undefined): Usage | undefined {
  if (!usage || typeof usage.total_tokens !== "number") return undefined;
  return countedUsage(usage.prompt_tokens ?? 0, usage.completion_tokens ?? 0, usage.total_tokens);
}

/** Thinking models know `max_completion_tokens` only and one temperature; older Azure API versions know no `stream_options`. */
function refusedParameter(error: unknown): Optional | undefined {
  if (!(error instanceof Error) || !("status" in error) || error.status !== 400) return undefined;
  const parameter = "param" in error && typeof error.param === "string" ? error.param : "";
  const names = ["max_tokens", "temperature", "stream_options"] as const;
  return names.find((name) => parameter === name) ?? names.find((name) => error.message.includes(`argument supplied: ${name}`));
}

/**
 * Ollama's `/api/chat`: newline-delimited JSON, counts in the last line. Configured by the operator, or found (../provider-search.ts).
 * Tests: providers.int.test.ts, ../provider-search.int.test.ts.
 */
import { z } from "zod";
import { type Completion, type CompletionRequest, countedUsage, estimatedUsage, type Provider, type Usage } from "../../domain/provider.ts";
import { asProviderError, badAnswer } from "./errors.ts";
import { linesOf, parseAnswer, post } from "./http-json.ts";
import { baseUrl, type ProviderContext, providerRow } from "./row.ts";

const DEFAULT_URL = "http://localhost:11434";
const DEFAULT_MODEL = "llama3.2";

const Line = z.object({
  model: z.string().optional(),
  message: z.object({ content: z.string() }).optional(),
  done: z.boolean().optional(),
  prompt_eval_count: z.number().optional(),
  eval_count: z.number().optional(),
  error: z.string().optional(),
});

/** Of `/api/tags`, what we read. */
const Tags = z.object({ models: z.array(z.object({ name: z.string() })) });

export const ollama = providerRow({
  id: "ollama",
  env: {
    OLLAMA_BASE_URL: baseUrl()
      .optional()
      .describe(`Ollama server (${DEFAULT_URL}); this or \`OLLAMA_MODEL\` set = provider \`ollama\` is available`),
    OLLAMA_MODEL: z.string().optional().describe(`Model of provider \`ollama\` (${DEFAULT_MODEL})`),
    OLLAMA_DISCOVERY_URL: z
      .union([z.literal("off"), baseUrl()], { error: "neither `off` nor a URL" })
      .default(DEFAULT_URL)
      .describe(
        `Without the two above: where an Ollama with ${DEFAULT_MODEL} is looked for. While it is there it answers who names it, and everybody if there is no other provider; \`off\`: not looked for`,
      ),
  },
  configure(env) {
    if (!isConfigured(env)) return undefined;
    const model = env.OLLAMA_MODEL ?? DEFAULT_MODEL;
    return { model, open: opener(env.OLLAMA_BASE_URL ?? DEFAULT_URL, model) };
  },
  candidate(env) {
    const url = env.OLLAMA_DISCOVERY_URL;
    if (isConfigured(env) || url === "off") return undefined;
    return {
      model: DEFAULT_MODEL,
      open: opener(url, DEFAULT_MODEL),
      isThere: (context, signal) => hasModel(url, DEFAULT_MODEL, context, signal),
    };
  },
});

function isConfigured(env: { OLLAMA_BASE_URL?: string | undefined; OLLAMA_MODEL?: string | undefined }): boolean {
  return env.OLLAMA_BASE_URL !== undefined || env.OLLAMA_MODEL !== undefined;
}

const opener =
  (url: string, model: string) =>
  (context: ProviderContext): Provider => ({
    id: "ollama",
    model,
    async complete(request) {
      const progress = { text: "" };
      try {
        return await complete(`${url}/api/chat`, model, context, request, progress);
      } catch (error) {
        throw asProviderError(error, request.signal, context.now(), progress.text !== "");
      }
    },
  });

async function hasModel(url: string, model: string, context: ProviderContext, signal: AbortSignal): Promise<boolean> {
  const response = await context.fetch(`${url}/api/tags`, { signal });
  if (!response.ok) {
    await response.body?.cancel();
    return false;
  }
  const tags = Tags.safeParse(await response.json());
  return tags.success && tags.data.models.some(({ name }) => tagged(name) === tagged(model));
}

/** A name without a tag means the tag `latest`. */
const tagged = (name: string): string => (name.includes(":") ? name : `${name}:latest`);

async function complete(
  url: string,
  model: string,
  context: ProviderContext,
  request: CompletionRequest,
  progress: { text: string },
): Promise<Completion> {
  const response = await post(context, {
    url,
    body: {
      model,
      messages: [{ role: "system", content: request.system }, ...request.messages],
      stream: request.onToken !== undefined,
      options: { num_predict: request.maxTokens, temperature: request.temperature },
    },
    signal: request.signal,
  });
  let usage: Usage | undefined;
  let isDone = false;
  let answered = model;
  for await (const json of linesOf(response)) {
    const parsed = Line.safeParse(parseAnswer(json));
    if (!parsed.success || parsed.data.error !== undefined) throw badAnswer("unreadable answer");
    const line = parsed.data;
    const piece = line.message?.content ?? "";
    if (piece !== "") {
      progress.text += piece;
      request.onToken?.(piece);
    }
    answered = line.model ?? answered;
    if (line.done !== true) continue;
    isDone = true;
    if (line.eval_count !== undefined) usage = countedUsage(line.prompt_eval_count ?? 0, line.eval_count);
  }
  if (progress.text === "") throw badAnswer("empty answer");
  if (!isDone) throw badAnswer("answer broke off");
  return { text: progress.text, usage: usage ?? estimatedUsage(request, progress.text.length), model: answered };
}

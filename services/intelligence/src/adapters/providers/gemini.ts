/** Google Gemini over its REST API: `generateContent`, or its server-sent events. The key goes into a header, never the URL. Tests: providers.int.test.ts. */
import { z } from "zod";
import { type Completion, type CompletionRequest, countedUsage, estimatedUsage, type Usage } from "../../domain/provider.ts";
import { asProviderError, badAnswer } from "./errors.ts";
import { linesOf, parseAnswer, post } from "./http-json.ts";
import { baseUrl, type ProviderContext, providerRow } from "./row.ts";

const Answer = z.object({
  candidates: z
    .array(
      z.object({
        content: z.object({ parts: z.array(z.object({ text: z.string().optional() })).optional() }).optional(),
        finishReason: z.string().optional(),
      }),
    )
    .optional(),
  usageMetadata: z
    .object({
      promptTokenCount: z.number().optional(),
      candidatesTokenCount: z.number().optional(),
      totalTokenCount: z.number().optional(),
    })
    .optional(),
  modelVersion: z.string().optional(),
});

interface Settings {
  apiKey: string;
  model: string;
  url: string;
}

export const gemini = providerRow({
  id: "gemini",
  aliases: ["google"],
  env: {
    GOOGLE_API_KEY: z.string().optional().describe("Key of Google AI; set = provider `gemini` is available"),
    GOOGLE_MODEL: z.string().default("gemini-1.5-flash").describe("Model of provider `gemini`"),
    GOOGLE_BASE_URL: baseUrl()
      .default("https://generativelanguage.googleapis.com")
      .describe("Another server that speaks the Gemini protocol, without `/v1beta`"),
  },
  configure({ GOOGLE_API_KEY: apiKey, GOOGLE_MODEL: model, GOOGLE_BASE_URL: url }) {
    if (apiKey === undefined) return undefined;
    return {
      model,
      open: (context) => ({
        id: "gemini",
        model,
        async complete(request) {
          const progress = { text: "" };
          try {
            return await complete({ apiKey, model, url }, context, request, progress);
          } catch (error) {
            throw asProviderError(error, request.signal, context.now(), progress.text !== "");
          }
        },
      }),
    };
  },
});

async function complete(
  settings: Settings,
  context: ProviderContext,
  request: CompletionRequest,
  progress: { text: string },
): Promise<Completion> {
  const method = request.onToken ? "streamGenerateContent?alt=sse" : "generateContent";
  const response = await post(context, {
    url: `${settings.url}/v1beta/models/${encodeURIComponent(settings.model)}:${method}`,
    headers: { "x-goog-api-key": settings.apiKey },
    body: {
      systemInstruction: { parts: [{ text: request.system }] },
      contents: request.messages.map(({ role, content }) => ({
        role: role === "assistant" ? "model" : "user",
        parts: [{ text: content }],
      })),
      generationConfig: { maxOutputTokens: request.maxTokens, temperature: request.temperature },
    },
    signal: request.signal,
  });
  let usage: Usage | undefined;
  let isFinished = false;
  let answered = settings.model;
  for await (const json of request.onToken ? events(response) : [await response.text()]) {
    const parsed = Answer.safeParse(parseAnswer(json));
    if (!parsed.success) throw badAnswer("unreadable answer");
    const { candidates, usageMetadata: counted, modelVersion } = parsed.data;
    const piece = (candidates?.[0]?.content?.parts ?? []).map((part) => part.text ?? "").join("");
    if (piece !== "") {
      progress.text += piece;
      request.onToken?.(piece);
    }
    if (candidates?.[0]?.finishReason !== undefined) isFinished = true;
    // Each event repeats the count so far; the last one is the answer's.
    if (counted?.totalTokenCount !== undefined)
      usage = countedUsage(counted.promptTokenCount ?? 0, counted.candidatesTokenCount ?? 0, counted.totalTokenCount);
    answered = modelVersion ?? answered;
  }
  if (progress.text === "") throw badAnswer("empty answer");
  if (!isFinished) throw badAnswer("answer broke off");
  return { text: progress.text, usage: usage ?? estimatedUsage(request, progress.text.length), model: answered };
}

/** Gemini writes each event as one `data:` line. */
async function* events(response: Response): AsyncGenerator<string> {
  for await (const line of linesOf(response)) {
    if (line.startsWith("data:")) yield line.slice("data:".length);
    else if (!line.startsWith(":")) throw badAnswer("unreadable answer");
  }
}

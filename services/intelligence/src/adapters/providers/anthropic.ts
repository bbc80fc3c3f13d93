/** Anthropic's messages API through its SDK; input tokens are told at the start of a stream, output tokens at its end. Tests: providers.int.test.ts. */
import Anthropic from "@anthropic-ai/sdk";
import { z } from "zod";
import { type Completion, type CompletionRequest, countedUsage } from "../../domain/provider.ts";
import { asProviderError, badAnswer } from "./errors.ts";
import { baseUrl, providerRow } from "./row.ts";

const API_VERSION = "2023-06-01";

export const anthropic = providerRow({
  id: "anthropic",
  env: {
    ANTHROPIC_API_KEY: z.string().optional().describe("Key of Anthropic; set = provider `anthropic` is available"),
    ANTHROPIC_MODEL: z.string().default("claude-3-5-sonnet-20241022").describe("Model of provider `anthropic`"),
    ANTHROPIC_BASE_URL: baseUrl().default("https://api.anthropic.com").describe("Another server that speaks the messages protocol"),
  },
  configure({ ANTHROPIC_API_KEY: apiKey, ANTHROPIC_MODEL: model, ANTHROPIC_BASE_URL: baseURL }) {
    if (apiKey === undefined) return undefined;
    return {
      model,
      open(context) {
        // Our contract's version and header; the SDK's own default is a version that refuses `temperature`, with a bearer token.
        const defaultHeaders = { "x-api-key": apiKey, "anthropic-version": API_VERSION, authorization: null };
        const client = new Anthropic({
          apiKey,
          baseURL,
          defaultHeaders,
          maxRetries: 0,
          fetch: context.fetch,
          logLevel: "off",
          openTelemetry: false,
        });
        return {
          id: "anthropic",
          model,
          async complete(request) {
            const progress = { text: "" };
            let hasTemperature = true;
            for (;;) {
              try {
                const body = params(model, request, hasTemperature);
                return await (request.onToken ? stream(client, body, request, progress) : once(client, body, request));
              } catch (error) {
                if (!hasTemperature || progress.text !== "" || !refusesTemperature(error))
                  throw asProviderError(error, request.signal, context.now(), progress.text !== "");
                hasTemperature = false;
              }
            }
          },
        };
      },
    };
  },
});

type Params = Anthropic.MessageCreateParamsNonStreaming & { temperature?: number };

function params(model: string, request: CompletionRequest, hasTemperature: boolean): Params {
  return {
    model,
    max_tokens: request.maxTokens,
    // Some models refuse it. Its scale ends at 1, everybody else's at 2.
    ...(hasTemperature ? { temperature: Math.min(1, request.temperature) } : {}),
    system: request.system,
    messages: request.messages.map(({ role, content }) => ({ role, content })),
  };
}

function refusesTemperature(error: unknown): boolean {
  return error instanceof Anthropic.APIError && error.status === 400 && error.message.includes("temperature");
}

async function once(client: Anthropic, body: Params, request: CompletionRequest): Promise<Completion> {
  const answer = await client.messages.create(body, { signal: request.signal });
  if (!Array.isArray(answer?.content) || typeof answer.usage?.output_tokens !== "number") throw badAnswer("unreadable answer");
  const text = answer.content.map((block) => (block.type === "text" ? block.text : "")).join("");
  if (text === "") throw badAnswer("empty answer");
  return { text, usage: countedUsage(answer.usage.input_tokens, answer.usage.output_tokens), model: answer.model || body.model };
}

async function stream(client: Anthropic, body: Params, request: CompletionRequest, progress: { text: string }): Promise<Completion> {
  const events = await client.messages.create({ ...body, stream: true }, { signal: request.signal });
  let answered: string = body.model;
  let input = 0;
  let output = 0;
  let isFinished = false;
  for await (const event of events) {
    if (event.type === "message_start") {
      answered = event.message.model || answered;
      input = event.message.usage.input_tokens;
      output = event.message.usage.output_tokens;
    } else if (event.type === "content_block_delta" && event.delta.type === "text_delta" && event.delta.text !== "") {
      progress.text += event.delta.text;
      request.onToken?.(event.delta.text);
    } else if (event.type === "message_delta") {
      output = event.usage.output_tokens;
    } else if (event.type === "message_stop") {
      isFinished = true;
    }
  }
  request.signal.throwIfAborted();
  if (!isFinished && progress.text !== "") throw badAnswer("answer broke off");
  if (progress.text === "") throw badAnswer("empty answer");
  return { text: progress.text, usage: countedUsage(input, output), model: answered };
}

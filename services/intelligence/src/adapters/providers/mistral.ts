/** Mistral: chat completions with a bearer key. Tests: providers.int.test.ts. */
import OpenAI from "openai";
import { z } from "zod";
import { chatCompletions } from "./chat-completions.ts";
import { baseUrl, providerRow } from "./row.ts";

export const mistral = providerRow({
  id: "mistral",

  env: {
    MISTRAL_API_KEY: z.string().optional().describe("Key of Mistral; set = provider `mistral` is available"),
    MISTRAL_MODEL: z.string().default("mistral-large-latest").describe("Model of provider `mistral`"),
    MISTRAL_BASE_URL: baseUrl().default("https://api.mistral.ai/v1").describe("Another server that speaks the same protocol as Mistral"),
  },
  configure({ MISTRAL_API_KEY: apiKey, MISTRAL_MODEL: model, MISTRAL_BASE_URL: baseURL }) {
    if (apiKey === undefined) return undefined;
    return {
      model,
      open(context) {
        // Null: the SDK must not read settings from the environment by itself.
        const client = new OpenAI({
          apiKey,
          baseURL,
          organization: null,
          project: null,
          maxRetries: 0,
          fetch: context.fetch,
          logLevel: "off",
        });
        return chatCompletions("mistral", model, client, context);
      },
    };
  },
});

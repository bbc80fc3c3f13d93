/** OpenAI: chat completions with a bearer key. Tests: providers.int.test.ts. */
import OpenAI from "openai";
import { z } from "zod";
import { chatCompletions } from "./chat-completions.ts";
import { baseUrl, providerRow } from "./row.ts";

export const openai = providerRow({
  id: "openai",

  env: {
    OPENAI_API_KEY: z.string().optional().describe("Key of OpenAI; set = provider `openai` is available"),
    OPENAI_MODEL: z.string().default("gpt-4o").describe("Model of provider `openai`"),
    OPENAI_BASE_URL: baseUrl().default("https://api.openai.com/v1").describe("Another server that speaks the same protocol as OpenAI"),
  },
  configure({ OPENAI_API_KEY: apiKey, OPENAI_MODEL: model, OPENAI_BASE_URL: baseURL }) {
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
        return chatCompletions("openai", model, client, context);
      },
    };
  },
});

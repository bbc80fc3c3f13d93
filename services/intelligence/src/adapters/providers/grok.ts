/** Grok: chat completions with a bearer key. Tests: providers.int.test.ts. */
import OpenAI from "openai";
import { z } from "zod";
import { chatCompletions } from "./chat-completions.ts";
import { baseUrl, providerRow } from "./row.ts";

export const grok = providerRow({
  id: "grok",
  aliases: ["xai"],
  env: {
    XAI_API_KEY: z.string().optional().describe("Key of Grok; set = provider `grok` is available"),
    XAI_MODEL: z.string().default("grok-beta").describe("Model of provider `grok`"),
    XAI_BASE_URL: baseUrl().default("https://api.x.ai/v1").describe("Another server that speaks the same protocol as Grok"),
  },
  configure({ XAI_API_KEY: apiKey, XAI_MODEL: model, XAI_BASE_URL: baseURL }) {
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
        return chatCompletions("grok", model, client, context);
      },
    };
  },
});

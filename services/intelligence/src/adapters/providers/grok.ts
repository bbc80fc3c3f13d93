/** Grok: chat completions with a bearer key. Tests: providers.int.test.ts. */
import { z } from "zod";
import { bearerChat } from "./bearer-chat.ts";
import { baseUrl, providerRow } from "./row.ts";

export const grok = providerRow({
  id: "grok",
  aliases: ["xai"],
  env: {
    XAI_API_KEY: z.string().optional().describe("Key of Grok; set = provider `grok` is available"),
    XAI_MODEL: z.string().default("grok-beta").describe("Model of provider `grok`"),
    XAI_BASE_URL: baseUrl().default("https://api.x.ai/v1").describe("Another server that speaks the same protocol as Grok"),
  },
  configure: (env) => bearerChat("grok", { apiKey: env.XAI_API_KEY, model: env.XAI_MODEL, baseURL: env.XAI_BASE_URL }),
});

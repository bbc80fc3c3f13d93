/** OpenAI: chat completions with a bearer key. Tests: providers.int.test.ts. */
import { z } from "zod";
import { bearerChat } from "./bearer-chat.ts";
import { baseUrl, providerRow } from "./row.ts";

export const openai = providerRow({
  id: "openai",

  env: {
    OPENAI_API_KEY: z.string().optional().describe("Key of OpenAI; set = provider `openai` is available"),
    OPENAI_MODEL: z.string().default("gpt-4o").describe("Model of provider `openai`"),
    OPENAI_BASE_URL: baseUrl().default("https://api.openai.com/v1").describe("Another server that speaks the same protocol as OpenAI"),
  },
  configure: (env) => bearerChat("openai", { apiKey: env.OPENAI_API_KEY, model: env.OPENAI_MODEL, baseURL: env.OPENAI_BASE_URL }),
});

/** Mistral: chat completions with a bearer key. Tests: providers.int.test.ts. */
import { z } from "zod";
import { bearerChat } from "./bearer-chat.ts";
import { baseUrl, providerRow } from "./row.ts";

export const mistral = providerRow({
  id: "mistral",

  env: {
    MISTRAL_API_KEY: z.string().optional().describe("Key of Mistral; set = provider `mistral` is available"),
    MISTRAL_MODEL: z.string().default("mistral-large-latest").describe("Model of provider `mistral`"),
    MISTRAL_BASE_URL: baseUrl().default("https://api.mistral.ai/v1").describe("Another server that speaks the same protocol as Mistral"),
  },
  configure: (env) => bearerChat("mistral", { apiKey: env.MISTRAL_API_KEY, model: env.MISTRAL_MODEL, baseURL: env.MISTRAL_BASE_URL }),
});

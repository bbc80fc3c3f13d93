/** Providers that are chat completions with a bearer key and differ in name, model and address only. Tests: providers.int.test.ts. */
import OpenAI from "openai";
import { chatCompletions } from "./chat-completions.ts";
import type { ConfiguredProvider } from "./row.ts";

export interface BearerChat {
  /** Absent: the provider is not available. */
  apiKey: string | undefined;
  model: string;
  baseURL: string;
}

export function bearerChat(id: string, { apiKey, model, baseURL }: BearerChat): Pick<ConfiguredProvider, "model" | "open"> | undefined {
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
      return chatCompletions(id, model, client, context);
    },
  };
}

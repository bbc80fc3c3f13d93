/** Azure OpenAI: chat completions of a deployment, header `api-key`. Tests: providers.int.test.ts. */
import { AzureOpenAI } from "openai";
import { z } from "zod";
import { chatCompletions } from "./chat-completions.ts";
import { baseUrl, providerRow } from "./row.ts";

export const azureOpenai = providerRow({
  id: "azure-openai",
  aliases: ["azure"],
  env: {
    AZURE_OPENAI_ENDPOINT: baseUrl()
      .optional()
      .describe("Address of the Azure resource; with `AZURE_OPENAI_API_KEY`, provider `azure-openai` is available"),
    AZURE_OPENAI_API_KEY: z.string().optional().describe("Key of the Azure resource"),
    AZURE_OPENAI_API_VERSION: z.string().default("2024-02-15-preview").describe("API version asked for"),
    AZURE_OPENAI_DEPLOYMENT_NAME: z.string().default("gpt-4o").describe("Deployment that answers"),
  },
  configure(env) {
    const { AZURE_OPENAI_ENDPOINT: endpoint, AZURE_OPENAI_API_KEY: apiKey, AZURE_OPENAI_DEPLOYMENT_NAME: deployment } = env;
    if (endpoint === undefined || apiKey === undefined) return undefined;
    return {
      model: deployment,
      open(context) {
        const client = new AzureOpenAI({
          endpoint,
          apiKey,
          deployment,
          apiVersion: env.AZURE_OPENAI_API_VERSION,
          organization: null,
          project: null,
          maxRetries: 0,
          fetch: context.fetch,
          logLevel: "off",
        });
        return chatCompletions("azure-openai", deployment, client, context);
      },
    };
  },
});

/** All providers, in the order of preference when nobody asks for one. A new one: its file and its row here. Tests: providers.int.test.ts. */
import { anthropic } from "./anthropic.ts";
import { azureOpenai } from "./azure-openai.ts";
import { builtin } from "./builtin.ts";
import { gemini } from "./gemini.ts";
import { grok } from "./grok.ts";
import { mistral } from "./mistral.ts";
import { ollama } from "./ollama.ts";
import { openai } from "./openai.ts";
import type { ProviderRow } from "./row.ts";

export const PROVIDER_ROWS: readonly ProviderRow[] = [azureOpenai, openai, anthropic, gemini, mistral, grok, ollama, builtin];

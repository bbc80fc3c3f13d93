/**
 * The analyst without a model or a network as a provider (domain/analyst.ts): works in every installation, costs no tokens, says who it is.
 * Tests: builtin.test.ts.
 */
import { envFlag } from "@headwater/runtime";
import { analyse } from "../../domain/analyst.ts";
import { type Completion, countedUsage, type Provider, ProviderError } from "../../domain/provider.ts";
import { providerRow } from "./row.ts";

export const BUILTIN = "builtin";
const MODEL = "builtin-1";

export const builtin = providerRow({
  id: BUILTIN,
  env: {
    LLM_BUILTIN: envFlag()
      .default(true)
      .describe("`off`: no answers of the built-in analyst; without any other provider, requests are then told that none is configured"),
  },
  configure: (env) => (env.LLM_BUILTIN ? { model: MODEL, open: openBuiltin } : undefined),
});

function openBuiltin(): Provider {
  return {
    id: BUILTIN,
    model: MODEL,
    reads: "material",
    async complete(request): Promise<Completion> {
      if (request.signal.aborted) throw new ProviderError("cancelled", "cancelled");
      const sentences = analyse(request.material);
      for (const [index, sentence] of sentences.entries()) request.onToken?.(index === 0 ? sentence : ` ${sentence}`);
      return { text: sentences.join(" "), usage: countedUsage(0, 0), model: MODEL };
    },
  };
}

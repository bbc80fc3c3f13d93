/** The configured providers, each with deadline, retry and circuit breaker around it. Tests: ../http/llm-routes.int.test.ts. */
import type { Clock } from "@headwater/runtime";
import type { LlmConfig } from "../config.ts";
import { selectProvider } from "../domain/provider-selection.ts";
import type { Providers } from "../ports.ts";
import { boundedFetch } from "./providers/bounded-fetch.ts";
import { BUILTIN } from "./providers/builtin.ts";
import { type ResilientProvider, resilient } from "./resilient-provider.ts";

export interface ProviderPool extends Providers {
  models(): Record<string, string>;
  /** Not asked for now, after failures in a row. */
  paused(): string[];
}

export function openProviders(
  config: Pick<LlmConfig, "providers" | "defaultProvider" | "timeoutMs">,
  deps: { clock: Clock; random?: () => number },
): ProviderPool {
  const { clock, random = Math.random } = deps;
  const context = { fetch: boundedFetch(), now: () => clock.now() };
  const open = new Map<string, ResilientProvider>();
  for (const row of config.providers)
    open.set(row.id, resilient(row.open(context), { timeoutMs: config.timeoutMs, monotonicMs: () => clock.monotonicMs(), random }));
  return {
    ids: config.providers.map(({ id }) => id),
    select: (requested) => selectProvider(config.providers, requested, config.defaultProvider),
    get: (id) => open.get(id),
    isBilled: (id) => id !== BUILTIN,
    models: () => Object.fromEntries(config.providers.map(({ id, model }) => [id, model])),
    paused: () => [...open.values()].filter((provider) => provider.isPaused()).map(({ id }) => id),
  };
}

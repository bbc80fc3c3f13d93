/**
 * The configured providers, each with deadline, retry and circuit breaker around it; after them those that were found, while they are there.
 * Tests: provider-search.int.test.ts, ../http/llm-routes.int.test.ts.
 */
import type { Clock, Logger } from "@headwater/runtime";
import type { LlmConfig } from "../config.ts";
import { selectProvider } from "../domain/provider-selection.ts";
import type { Providers } from "../ports.ts";
import { ProviderSearch, type SearchTimes } from "./provider-search.ts";
import { boundedFetch } from "./providers/bounded-fetch.ts";
import { BUILTIN } from "./providers/builtin.ts";
import type { ConfiguredProvider } from "./providers/row.ts";
import { type ResilientProvider, resilient } from "./resilient-provider.ts";

export interface ProviderPool extends Providers {
  models(): Record<string, string>;
  /** Not asked for now, after failures in a row. */
  paused(): string[];
  /** Ends the search; calls go on. */
  stop(): void;
}

/** A list of models, not an answer. */
const MAX_LOOK_BYTES = 1024 * 1024;

export function openProviders(
  config: Pick<LlmConfig, "providers" | "candidates" | "defaultProvider" | "timeoutMs">,
  deps: { clock: Clock; log: Logger; random?: () => number; search?: SearchTimes },
): ProviderPool {
  const { clock, log, random = Math.random } = deps;
  const now = (): number => clock.now();
  const context = { fetch: boundedFetch(), now };
  const open = new Map<string, { row: ConfiguredProvider; provider: ResilientProvider }>();
  // At the end, also behind the builtin analyst: that something listens on a port of this machine is nobody's decision to show it the data.
  const add = (row: ConfiguredProvider): void => {
    const provider = resilient(row.open(context), { timeoutMs: config.timeoutMs, monotonicMs: () => clock.monotonicMs(), random });
    open.set(row.id, { row, provider });
  };
  for (const row of config.providers) add(row);
  const search = new ProviderSearch(
    config.candidates,
    {
      context: { fetch: boundedFetch(MAX_LOOK_BYTES), now },
      found: (row) => {
        add(row);
        log.info({ provider: row.id, model: row.model }, "llm.provider_found");
      },
      gone: ({ id }) => {
        open.delete(id);
        log.info({ provider: id }, "llm.provider_gone");
      },
    },
    deps.search,
  );
  search.start();
  const rows = (): ConfiguredProvider[] => [...open.values()].map(({ row }) => row);
  return {
    get ids() {
      return [...open.keys()];
    },
    select: (requested) => selectProvider(rows(), requested, config.defaultProvider),
    get: (id) => open.get(id)?.provider,
    isBilled: (id) => id !== BUILTIN,
    models: () => Object.fromEntries(rows().map(({ id, model }) => [id, model])),
    paused: () => [...open].filter(([, { provider }]) => provider.isPaused()).map(([id]) => id),
    stop: () => search.stop(),
  };
}

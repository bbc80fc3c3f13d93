/**
 * Which bot a user agent belongs to. Three layers: the registry's own tokens (they decide and name), a generic detector
 * (it decides), and a long list of known crawlers (it only names what the detector found). Tests: bot-registry.test.ts.
 */
import type { BotCategory } from "@headwater/protocol";
import { agentForBotCheck, looksAutomated, looksLikeAppliance } from "./agent-rules.ts";
import { createTokenIndex, type TokenPlace } from "./token-index.ts";

export interface RegistryEntry {
  /** At least three characters, looked for without regard to case. */
  readonly token: string;
  readonly name: string;
  readonly category: BotCategory;
  readonly at?: TokenPlace;
}

/** A known crawler that only names an agent already found to be a bot: by a token, or by a pattern where a token will not do. */
export type RegistryName = { readonly name: string; readonly category: BotCategory } & (
  | { readonly token: string; readonly at?: "start" | undefined }
  | { readonly pattern: RegExp }
);

export interface RegistryData {
  readonly version: string;
  readonly entries: readonly RegistryEntry[];
  readonly names: readonly RegistryName[];
}

export interface RegistryHit {
  readonly category: BotCategory;
  /** Absent for `unknown_bot` found by the generic rules. */
  readonly name?: string;
}

export interface BotMatcher {
  /** null for an agent that looks like a person's. */
  match(userAgent: string): RegistryHit | null;
}

export function createBotMatcher(registry: RegistryData, looksLikeBot: (userAgent: string) => boolean): BotMatcher {
  const own = createTokenIndex(registry.entries.map((entry) => ({ token: entry.token, at: entry.at, value: entry })));
  const known = createTokenIndex(
    registry.names.flatMap((name) => ("token" in name ? [{ token: name.token, at: name.at, value: name }] : [])),
  );
  const patterns = registry.names.filter((name) => "pattern" in name);
  return {
    match(userAgent) {
      // Silence is judged by humanConfidence, not by a registry.
      if (userAgent.trim() === "") return null;
      const checked = agentForBotCheck(userAgent);
      const entry = own.longestIn(checked);
      if (entry !== undefined) return { category: entry.category, name: entry.name };
      if (looksLikeAppliance(checked) || (!looksAutomated(checked) && !looksLikeBot(checked))) return null;
      const found = known.longestIn(checked) ?? patterns.find(({ pattern }) => pattern.test(checked));
      return found === undefined ? { category: "unknown_bot" } : { category: found.category, name: found.name };
    },
  };
}

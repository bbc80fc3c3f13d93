/**
 * Which bot a user agent belongs to. Three layers: the registry's own tokens (they decide and name), a generic detector
 * (it decides), and a long list of known crawlers (it only names what the detector found). Tests: bot-registry.test.ts.
 */
import type { BotCategory } from "@headwater/protocol";
import { agentForBotCheck, looksAutomated, looksLikeAppliance } from "./agent-rules.ts";

export interface RegistryEntry {
  /** Looked for without regard to case. */
  readonly token: string;
  readonly name: string;
  readonly category: BotCategory;
  /** `word`: no letter or digit around it. `start`: the agent begins with it. Default: anywhere. */
  readonly at?: "start" | "word" | undefined;
}

/** A known crawler that only names an agent already found to be a bot. */
export interface RegistryName {
  readonly pattern: RegExp;
  readonly name: string;
  readonly category: BotCategory;
}

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
  const entries = registry.entries
    .map((entry) => ({ entry, token: entry.token.toLowerCase() }))
    .sort((a, b) => b.token.length - a.token.length);
  const names = [...registry.names].sort((a, b) => b.pattern.source.length - a.pattern.source.length);
  return {
    match(userAgent) {
      // Silence is judged by humanConfidence, not by a registry.
      if (userAgent.trim() === "") return null;
      const checked = agentForBotCheck(userAgent);
      const lower = checked.toLowerCase();
      const own = entries.find(({ entry, token }) => occurs(lower, token, entry.at));
      if (own !== undefined) return { category: own.entry.category, name: own.entry.name };
      if (looksLikeAppliance(checked) || (!looksAutomated(checked) && !looksLikeBot(checked))) return null;
      const known = names.find(({ pattern }) => pattern.test(checked));
      return known === undefined ? { category: "unknown_bot" } : { category: known.category, name: known.name };
    },
  };
}

function occurs(text: string, token: string, at: RegistryEntry["at"]): boolean {
  if (at === "start") return text.startsWith(token);
  if (at === undefined) return text.includes(token);
  for (let i = text.indexOf(token); i !== -1; i = text.indexOf(token, i + 1)) {
    if (!isWordPart(text.charCodeAt(i - 1)) && !isWordPart(text.charCodeAt(i + token.length))) return true;
  }
  return false;
}

/** Lower-case ASCII letter or digit; NaN outside the text is not. */
function isWordPart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 48 && code <= 57);
}

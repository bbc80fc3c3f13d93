/**
 * Which provider answers: the one asked for, else the operator's default, else the first configured one. Never a silent replacement for one
 * that was asked for by name. Pure. Tests: provider-selection.test.ts.
 */

/** `aliases` are other names clients may use. */
export interface ProviderName {
  id: string;
  aliases: readonly string[];
}

export type Selection = { ok: true; id: string } | { ok: false; code: "none_configured" | "not_configured"; message: string };

/** REST's 503 of `/query`. `/query/stream` and `/analyze` say the shorter text, `/ws` says `LLM service not configured`. */
export const NO_PROVIDERS = "No LLM providers configured. Please set API keys in environment variables.";
export const NO_PROVIDERS_SHORT = "No LLM providers configured";
const NAME_SHOWN_CHARS = 64;

/** @param configured in the order of preference; @param requested and @param preferred ids or aliases, any case. */
export function selectProvider(
  configured: readonly ProviderName[],
  requested: string | undefined,
  preferred: string | undefined,
): Selection {
  const first = configured[0];
  if (first === undefined) return { ok: false, code: "none_configured", message: NO_PROVIDERS };
  const asked = requested?.trim() ?? "";
  if (asked !== "") {
    const found = byName(configured, asked);
    if (found === undefined)
      return { ok: false, code: "not_configured", message: `provider '${asked.slice(0, NAME_SHOWN_CHARS)}' not configured` };
    return { ok: true, id: found.id };
  }
  return { ok: true, id: (preferred === undefined ? undefined : byName(configured, preferred)?.id) ?? first.id };
}

/** Trimmed, any case. */
export function byName<P extends ProviderName>(rows: readonly P[], name: string): P | undefined {
  const wanted = name.trim().toLowerCase();
  return rows.find((row) => row.id === wanted || row.aliases.includes(wanted));
}

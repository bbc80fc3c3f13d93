/**
 * What a provider file exports: its names, its environment variables and how to open it. Adding a provider is one such file and one row in
 * index.ts. Touches nothing itself.
 */
import { type Env, parseEnv } from "@headwater/runtime";
import { z } from "zod";
import type { Provider } from "../../domain/provider.ts";

export interface ProviderContext {
  /** Bounded and without redirects: bounded-fetch.ts. */
  fetch: typeof fetch;
  /** Wall clock, ms: `Retry-After` may be a date. */
  now: () => number;
}

/** A provider the environment has settings for. */
export interface ConfiguredProvider {
  id: string;
  aliases: readonly string[];
  model: string;
  open(context: ProviderContext): Provider;
}

/** One nobody configured, that may be used while it is there. */
export interface CandidateProvider extends ConfiguredProvider {
  /** Looks once whether it is there and has its model. A rejection says no as well. */
  isThere(context: ProviderContext, signal: AbortSignal): Promise<boolean>;
}

export interface ProviderRow {
  id: string;
  aliases: readonly string[];
  env: Readonly<Record<string, z.ZodType>>;
  /** Undefined when the environment has no settings for it. */
  configure(env: Env): ConfiguredProvider | undefined;
  /** Undefined when it is configured, or shall not be looked for. */
  candidate(env: Env): CandidateProvider | undefined;
}

export function providerRow<S extends Readonly<Record<string, z.ZodType>>>(row: {
  id: string;
  aliases?: readonly string[];
  env: S;
  configure(env: z.infer<z.ZodObject<S>>): Pick<ConfiguredProvider, "model" | "open"> | undefined;
  candidate?(env: z.infer<z.ZodObject<S>>): Pick<CandidateProvider, "model" | "open" | "isThere"> | undefined;
}): ProviderRow {
  const schema = z.object(row.env);
  const aliases = row.aliases ?? [];
  return {
    id: row.id,
    aliases,
    env: row.env,
    configure(env) {
      const configured = row.configure(parseEnv(schema, env));
      return configured && { id: row.id, aliases, ...configured };
    },
    candidate(env) {
      const candidate = row.candidate?.(parseEnv(schema, env));
      return candidate && { id: row.id, aliases, ...candidate };
    },
  };
}

/** Base URL of a provider: http only where the operator says so, no credentials, query or fragment inside. */
export const baseUrl = () =>
  z
    .url({ protocol: /^https?$/ })
    .refine((text) => {
      if (!URL.canParse(text)) return false;
      const url = new URL(text);
      return url.username === "" && url.password === "" && url.search === "" && url.hash === "";
    }, "must not hold credentials, a query or a fragment")
    .transform((text) => text.replace(/\/+$/, ""));

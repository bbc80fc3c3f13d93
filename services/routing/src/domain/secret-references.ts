/**
 * `${secret:NAME}` in a value of `headers`, `queryParams` or `httpConfig.requestHeaders` stands for that secret of the feed's owner. Anything
 * else stays as it is, and so does what looks like a reference inside a secret. Pure; tests: secret-references.test.ts.
 */
import { API_ERRORS, type FeedSecrets, MAX_PAIR_VALUE, SECRET_NAME, SECRET_UNKNOWN } from "@headwater/protocol";
import { type FeedContent, isTooLarge, MAX_CONTENT_BYTES, type Refused, refused } from "./feed-content.ts";

export type Resolved = { ok: true; secrets: FeedSecrets } | Refused;

const REFERENCE = new RegExp(`\\$\\{secret:(${SECRET_NAME})\\}`, "g");

/** Names that are referred to, each once, in the order of their first appearance. */
export function secretNamesIn(secrets: FeedSecrets): string[] {
  return [...new Set(valuesOf(secrets).flatMap(namesIn))];
}

/** @param values secrets of the feed's owner by name. @returns the credentials with values in place of references, within the limits of any feed. */
export function resolveSecrets(
  { settings, secrets }: Pick<FeedContent, "settings" | "secrets">,
  values: ReadonlyMap<string, string>,
): Resolved {
  const unknown = secretNamesIn(secrets).find((name) => !values.has(name));
  if (unknown !== undefined) return { ok: false, code: "SECRET_UNKNOWN", message: `${SECRET_UNKNOWN}${unknown}` };
  const valueOf = (name: string): string => values.get(name) ?? "";
  // A reference is shorter than what it may stand for by far: lengths are looked at before anything is built.
  const lengths = valuesOf(secrets).map((text) => lengthOf(text, valueOf));
  if (lengths.some((length) => length > MAX_PAIR_VALUE))
    return { ok: false, code: "INVALID_PAYLOAD", message: API_ERRORS.INVALID_PAYLOAD.message };
  if (lengths.reduce((sum, length) => sum + length, 0) > MAX_CONTENT_BYTES) return refused("FEED_TOO_LARGE");
  // A function: a secret may contain what a replacement text would take for a pattern.
  const resolve = (text: string): string => text.replaceAll(REFERENCE, (_reference, name: string) => valueOf(name));
  const inPairs = (pairs: FeedSecrets["headers"]): FeedSecrets["headers"] =>
    pairs.map(({ key, value }) => ({ key, value: resolve(value) }));
  const { httpConfig } = secrets;
  const resolved: FeedSecrets = {
    ...secrets,
    queryParams: inPairs(secrets.queryParams),
    headers: inPairs(secrets.headers),
    ...(httpConfig && {
      httpConfig: {
        ...httpConfig,
        requestHeaders: Object.fromEntries(Object.entries(httpConfig.requestHeaders).map(([key, value]) => [key, resolve(value)])),
      },
    }),
  };
  return isTooLarge(settings, resolved) ? refused("FEED_TOO_LARGE") : { ok: true, secrets: resolved };
}

function valuesOf({ queryParams, headers, httpConfig }: FeedSecrets): string[] {
  return [...[...headers, ...queryParams].map(({ value }) => value), ...Object.values(httpConfig?.requestHeaders ?? {})];
}

function namesIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(([, name = ""]) => name);
}

function lengthOf(text: string, valueOf: (name: string) => string): number {
  return [...text.matchAll(REFERENCE)].reduce(
    (length, [reference, name = ""]) => length - reference.length + valueOf(name).length,
    text.length,
  );
}

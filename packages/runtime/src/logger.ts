/** Structured logs: pino, JSON lines, secrets redacted. Nothing here reads the environment. Tests: logger.test.ts. */
import pino from "pino";

export type Logger = pino.Logger;

/** Field names whose values never reach a log line, at any of the first two levels. */
export const REDACTED_FIELDS = [
  "key",
  "apiKey",
  "api_key",
  "token",
  "secret",
  "password",
  "authorization",
  "cookie",
  "x-api-key",
  "ticket",
  "sec-websocket-protocol",
];

export interface LoggerOptions {
  service: string;
  level?: string;
  destination?: pino.DestinationStream;
}

export function createLogger(options: LoggerOptions): Logger {
  const paths = REDACTED_FIELDS.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]);
  return pino(
    {
      level: options.level ?? "info",
      base: { service: options.service },
      redact: { paths, censor: "[redacted]" },
      serializers: { err: errorForLog },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
}

/** Members in which database errors carry values of rows: e-mail addresses, hashes. */
const VALUES = ["detail", "where", "params", "parameters"];

/**
 * An error for logs, without the values of a failed statement: the query builder puts all parameters into the message and the stack, the
 * database puts the offending row into `detail`.
 */
function errorForLog(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const chain: Error[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < 10 && !chain.includes(at); at = at.cause) chain.push(at);
  const failedAt = chain.findIndex((one) => "query" in one && "params" in one);
  const failed = chain[failedAt];
  // Below the failed statement is what the database said about it.
  const plain: Record<string, unknown> = { ...pino.stdSerializers.err(chain[failedAt + 1] ?? new Error("a statement failed")) };
  for (const name of VALUES) delete plain[name];
  if (failed === undefined) return plain;
  const above = chain.slice(0, failedAt).map(({ name, message }) => `${name}: ${message}`);
  return { ...plain, query: "query" in failed ? String(failed.query).slice(0, 500) : "", ...(above.length > 0 ? { above } : {}) };
}

/** A URL for logs: credentials in query and user part replaced. Never throws. */
export function redactUrl(url: string): string {
  return url
    .replace(/([?&](?:key|api_key|apikey|token|ticket|access_token|cursor)=)[^&#\s]*/gi, "$1[redacted]")
    .replace(/(\/\/[^/:@\s]*:)[^@/\s]*@/g, "$1[redacted]@");
}

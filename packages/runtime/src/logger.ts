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
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
}

/** A URL for logs: credentials in query and user part replaced. Never throws. */
export function redactUrl(url: string): string {
  return url
    .replace(/([?&](?:key|api_key|apikey|token|ticket|access_token|cursor)=)[^&#\s]*/gi, "$1[redacted]")
    .replace(/(\/\/[^/:@\s]*:)[^@/\s]*@/g, "$1[redacted]@");
}

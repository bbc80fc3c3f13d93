/** Loggers for tests: silent, or collecting lines to assert on. */
import { Writable } from "node:stream";
import { createLogger, type Logger } from "@headwater/runtime";

export function quietLogger(): Logger {
  return createLogger({ service: "test", level: "silent" });
}

export function collectingLogger(level = "info"): { log: Logger; lines: () => Record<string, unknown>[]; messages: () => unknown[] } {
  const texts: string[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      texts.push(String(chunk));
      done();
    },
  });
  // pino writes one JSON object per chunk.
  const lines = (): Record<string, unknown>[] => texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  return { log: createLogger({ service: "test", level, destination }), lines, messages: () => lines().map((line) => line["msg"]) };
}

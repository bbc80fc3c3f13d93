/** A terminal that remembers what was written to it. For tests of this package only. */
import type { Env } from "@headwater/runtime";
import type { Terminal } from "./terminal.ts";

export interface RecordedTerminal extends Terminal {
  stdout(): string;
  stderr(): string;
  lines(): string[];
  interrupt(): void;
}

export function recordedTerminal(env: Env = {}): RecordedTerminal {
  const stop = new AbortController();
  let out = "";
  let err = "";
  return {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    env,
    cwd: "/",
    stop: stop.signal,
    stdout: () => out,
    stderr: () => err,
    lines: () => out.split("\n").filter((line) => line !== ""),
    interrupt: () => stop.abort(),
  };
}

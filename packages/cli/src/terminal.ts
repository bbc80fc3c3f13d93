/** What a command sees of the world it runs in; tests pass their own. */
import type { Env } from "@headwater/runtime";

export interface Terminal {
  /** A promise means: the reader is slow, wait before writing more. */
  out(text: string): void | Promise<void>;
  err(text: string): void;
  env: Env;
  /** Where the user stands; relative paths start here. */
  cwd: string;
  /** Aborted by Ctrl-C: a following command ends with 0. */
  stop: AbortSignal;
}

/** A mistake in the command line: exit 2 with the usage text. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command was understood and could not be done: exit 1 with this message and nothing else. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
}

/** Chooses the command, and turns what goes wrong into text on stderr and an exit code: 0 done, 1 failed, 2 wrong usage. Tests: cli.test.ts. */
import { bootstrapCommand } from "./commands/bootstrap.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { feedCommand } from "./commands/feed.ts";
import { keysCommand } from "./commands/keys.ts";
import { rebuildCommand } from "./commands/rebuild.ts";
import { replayCommand } from "./commands/replay.ts";
import { statusCommand } from "./commands/status.ts";
import { tapCommand } from "./commands/tap.ts";
import { tenantsCommand } from "./commands/tenants.ts";
import { CommandFailed, type Terminal, UsageError } from "./terminal.ts";
import { USAGE, usageOf } from "./usage.ts";

type Command = (argv: readonly string[], terminal: Terminal) => Promise<number>;

const COMMANDS: Record<string, Command> = {
  status: statusCommand,
  doctor: doctorCommand,
  tenants: tenantsCommand,
  keys: keysCommand,
  tap: tapCommand,
  feed: feedCommand,
  replay: replayCommand,
  rebuild: rebuildCommand,
  up: bootstrapCommand("start"),
  bench: bootstrapCommand("bench"),
};
/** These hand their arguments on, `--help` included. */
const PASS_THROUGH: readonly string[] = ["up", "bench"];

/** @returns the exit code. Rejects only for a defect of our own. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    terminal.err(USAGE);
    return 2;
  }
  if (name === "help" || name === "--help" || name === "-h") {
    await terminal.out(usageOf(rest[0]));
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    terminal.err(`headwater: unknown command ${name}\n\n${USAGE}`);
    return 2;
  }
  if (!PASS_THROUGH.includes(name) && rest.some((arg) => arg === "--help" || arg === "-h")) {
    await terminal.out(usageOf(name));
    return 0;
  }
  try {
    return await command(rest, terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.err(`headwater: ${error.message}\n\n${usageOf(name)}`);
      return 2;
    }
    if (error instanceof CommandFailed) {
      terminal.err(`headwater: ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}

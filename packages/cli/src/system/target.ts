/**
 * Which system a command talks to, and as whom: the run file of a local one, or the environment for any other
 * (HEADWATER_URL, HEADWATER_ADMIN_TOKEN; NATS_URL, NATS_USER, NATS_PASSWORD). The environment wins. Tests: target.test.ts, commands/system.int.test.ts.
 */
import { type Nats, openNats } from "@headwater/messaging";
import { createLogger, type Env, redactUrl } from "@headwater/runtime";
import { portOf } from "../arguments.ts";
import { CommandFailed, type Terminal } from "../terminal.ts";
import { readRunFile, type RunFile } from "./run-file.ts";

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

export interface Target {
  port: number;
  /** Without trailing slash. */
  url: string;
  run: RunFile | undefined;
  env: Env;
}

export function findTarget(option: string | undefined, terminal: Terminal): Target {
  const port = portOf(option, terminal.env);
  const run = readRunFile(port);
  const url = (terminal.env["HEADWATER_URL"] || run?.url || `http://127.0.0.1:${port}`).replace(/\/+$/, "");
  return { port, url, run, env: terminal.env };
}

/** The token of the local system goes to the local system only. @throws CommandFailed when there is none for this address. */
export function adminTokenOf(target: Target): string {
  const { env, run, url } = target;
  const given = env["HEADWATER_ADMIN_TOKEN"];
  if (given) return given;
  if (!run) throw nothingRuns(target, "set HEADWATER_URL and HEADWATER_ADMIN_TOKEN");
  if (!isSameListener(url, run.url)) throw new CommandFailed(`set HEADWATER_ADMIN_TOKEN for ${redactUrl(url)}, or unset HEADWATER_URL`);
  return run.adminToken;
}

/** Several names of one address of this machine are the same. */
function isSameListener(a: string, b: string): boolean {
  const originOf = (text: string): string | undefined => {
    const url = URL.parse(text);
    return url ? `${url.protocol}//${LOOPBACK.has(url.hostname) ? "localhost" : url.hostname}:${url.port}` : undefined;
  };
  return originOf(a) !== undefined && originOf(a) === originOf(b);
}

/** A connection as the operator (`admin`) or as the read-only user of taps. The caller drains it. */
export async function connectNats(target: Target, as: "admin" | "tap"): Promise<Nats> {
  const fromEnv = target.env["NATS_URL"] || undefined;
  const url = fromEnv ?? target.run?.natsUrl;
  if (!url) throw nothingRuns(target, "set NATS_URL, NATS_USER and NATS_PASSWORD");
  const login = fromEnv ? envLogin(target.env) : target.run?.natsUsers?.[as];
  try {
    return await openNats({
      url,
      ...(login ? { user: login.user, password: login.password } : {}),
      name: `headwater-${as}-${process.pid}`,
      // Problems of a short command are its own error messages.
      log: createLogger({ service: "cli", level: "silent" }),
      connectWithinMs: 2_000,
    });
  } catch (error) {
    throw new CommandFailed(`no connection to NATS at ${redactUrl(url)}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function envLogin(env: Env): { user: string; password: string } | undefined {
  return env["NATS_USER"] ? { user: env["NATS_USER"], password: env["NATS_PASSWORD"] ?? "" } : undefined;
}

function nothingRuns(target: Target, otherwise: string): CommandFailed {
  return new CommandFailed(
    `no Headwater of this user runs on port ${target.port} (npm start; --port for another one). For a system elsewhere ${otherwise}`,
  );
}

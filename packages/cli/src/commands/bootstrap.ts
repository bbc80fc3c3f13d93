/** `headwater up` and `headwater bench`: the tasks of the bootstrap file, with the same options as `npm start` and `npm run bench`. */
import { spawn } from "node:child_process";
import path from "node:path";
import { CommandFailed, type Terminal } from "../terminal.ts";

const bootstrap = path.resolve(import.meta.dirname, "../../../embedded/scripts/run.mjs");

export function bootstrapCommand(task: "start" | "bench"): (argv: readonly string[], terminal: Terminal) => Promise<number> {
  return async (argv, terminal) => {
    const child = spawn(process.execPath, [bootstrap, task, ...argv], {
      stdio: "inherit",
      env: { ...terminal.env, INIT_CWD: terminal.cwd },
    });
    const forward = (): void => void child.kill("SIGTERM");
    terminal.stop.addEventListener("abort", forward, { once: true });
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once("error", (error) => reject(new CommandFailed(`cannot run ${bootstrap}: ${error.message}`, { cause: error })));
        child.once("exit", (code) => resolve(code ?? 1));
      });
    } finally {
      terminal.stop.removeEventListener("abort", forward);
    }
  };
}

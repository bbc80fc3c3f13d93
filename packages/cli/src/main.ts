/** Runs the command line: arguments in, text out, exit code. All rules are in cli.ts. */
import { runCli } from "./cli.ts";

const IMPATIENT_MS = 500;
const stop = new AbortController();
let stoppedAt: number | undefined;
// The first signal ends a following command cleanly, a later one ends the process. A terminal's Ctrl-C comes twice at once:
// from the terminal and through the launcher.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stoppedAt ??= performance.now();
    stop.abort();
    if (performance.now() - stoppedAt > IMPATIENT_MS) process.exit(130);
  });
}
// `headwater tap … | head` closes our output: that is a normal end.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => {
    if (process.stdout.write(text)) return undefined;
    return new Promise((resolve) => void process.stdout.once("drain", resolve));
  },
  err: (text) => void process.stderr.write(text),
  env: process.env,
  cwd: process.env["INIT_CWD"] ?? process.cwd(),
  stop: stop.signal,
});

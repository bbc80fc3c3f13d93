/** `npm start`: parse, start, say so, wait for a signal, drain. Exit 0 clean, 1 failed, 2 wrong usage. */
import { flushCompileCache } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "@headwater/runtime";
import { banner } from "./banner.ts";
import { withEnvFiles } from "./env-files.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";

const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const env = withEnvFiles(process.env, projectRoot);
const stopped = Promise.withResolvers<void>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stopped.resolve());

const options = readOptions();
if (options?.help) process.stdout.write(`${USAGE}\n`);
else if (options) process.exitCode = await run(options);

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2), env, process.env["INIT_CWD"] ?? process.cwd());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}\n`);
    process.exitCode = 2;
    return undefined;
  }
}

async function run(chosen: Options): Promise<number> {
  if (Object.keys(env).some((name) => name.startsWith("MONGODB_"))) {
    process.stderr.write("MONGODB_* is set: Headwater keeps its data in PostgreSQL (DATABASE_URL); the setting is ignored\n");
  }
  // Only now: a wrong option or a question for help need not wait for six services to be read.
  const { startStandalone } = await import("./start.ts");
  // Ctrl-C while things are still starting ends the start, too.
  const starting = startStandalone(chosen, env, { say: (text) => process.stdout.write(`${text}\n`) });
  let system: Awaited<typeof starting>;
  try {
    system = await starting;
  } catch (error) {
    process.stderr.write(`startup failed: ${error instanceof Error ? error.message : String(error)}\n(npx headwater doctor says more)\n`);
    if (env["LOG_LEVEL"] === "debug" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return 1;
  }
  process.stdout.write(`headwater ready ${system.url}\n`);
  process.stdout.write(`${banner(system.url, system.demo)}\n`);
  // So that the next start is quick after a kill, too.
  flushCompileCache();
  await stopped.promise;
  process.stdout.write("stopping …\n");
  const overdue = setTimeout(() => process.exit(2), 45_000);
  overdue.unref();
  await system.stop();
  return 0;
}

/**
 * Body of every `main.ts`: environment → config → start → listeners → wait for a signal → drain → exit code.
 * Exit 0 clean, 1 bad config or failed start or a broken invariant, 2 drain over its budget. Tests: run-service.int.test.ts.
 */
import { flushCompileCache } from "node:module";
import { constants, hostname, setPriority } from "node:os";
import type { ServiceName } from "@headwater/protocol";
import { listenAdmin } from "./admin-server.ts";
import { systemClock } from "./clock.ts";
import { ConfigError, type Env } from "./env.ts";
import { listenHttp } from "./http-server.ts";
import { createLogger, type Logger } from "./logger.ts";
import { instanceIdOf, parseProcessEnv, secretsOf } from "./process-config.ts";
import { ResourceStack } from "./resource-stack.ts";
import type { Deps, Service } from "./service.ts";

export interface RunServiceOptions<Config> {
  name: ServiceName;
  env: Env;
  parseConfig: (env: Env) => Config;
  start: (config: Config, deps: Deps) => Promise<Service>;
  /** When processors are short, other processes of this machine go first. */
  givesWay?: boolean;
}

export async function runService<Config>(options: RunServiceOptions<Config>): Promise<void> {
  const parsed = parseOrExit(options);
  if (!parsed) return;
  const { shell, config } = parsed;
  const log = createLogger({ service: options.name, level: shell.LOG_LEVEL });
  if (options.givesWay) lowerPriority(log);
  const stack = new ResourceStack();
  const stopped = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stopped.resolve(signal));
  // A parent that speaks IPC (per-service mode) takes us down with it when it dies.
  if (process.send) process.on("disconnect", () => stopped.resolve("parent gone"));
  try {
    const service = await options.start(config, {
      log,
      clock: systemClock,
      natsUrl: shell.NATS_URL,
      natsUser: shell.NATS_USER ?? options.name,
      natsPassword: shell.NATS_PASSWORD,
      ...(shell.DATABASE_URL === undefined ? {} : { databaseUrl: shell.DATABASE_URL }),
      instanceId: instanceIdOf(shell, options.name, hostname()),
      profile: shell.HEADWATER_PROFILE,
      secrets: secretsOf(shell),
    });
    stack.defer(() => service.stop());
    const admin = await listenAdmin([service], shell.ADMIN_HOST, shell.ADMIN_PORT);
    stack.defer(() => admin.close());
    const http = await listenHttp({
      services: [service],
      host: shell.HTTP_HOST,
      port: shell.HTTP_PORT,
      log,
      health: () => service.health(),
    });
    stack.defer(() => http.close(shell.DRAIN_TIMEOUT_MS / 2));
    log.info({ port: http.port, adminPort: admin.port }, "service.ready");
    process.send?.({ ready: true, port: http.port, adminPort: admin.port });
    // Written at the end only, it would not be there after a crash, when a quick start counts most.
    flushCompileCache();
  } catch (error) {
    log.fatal({ err: error }, "service.start_failed");
    process.exitCode = 1;
    stopped.resolve("start failed");
  }
  const reason = await stopped.promise;
  const overdue = setTimeout(() => {
    log.error({ reason }, "service.drain_overdue");
    process.exit(2);
  }, shell.DRAIN_TIMEOUT_MS);
  overdue.unref();
  try {
    await stack.close();
  } catch (error) {
    log.error({ err: error }, "service.drain_failed");
    process.exitCode = 1;
  }
  log.info({ reason }, "service.stopped");
  if (process.connected) process.disconnect();
}

function parseOrExit<Config>(
  options: RunServiceOptions<Config>,
): { shell: ReturnType<typeof parseProcessEnv>; config: Config } | undefined {
  try {
    return { shell: parseProcessEnv(options.env), config: options.parseConfig(options.env) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${options.name}: ${error.message}\n`);
    process.exitCode = 1;
    return undefined;
  }
}

function lowerPriority(log: Logger): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch (error) {
    // A sandbox may forbid it; the service works all the same.
    log.warn({ err: error }, "service.priority_kept");
  }
}

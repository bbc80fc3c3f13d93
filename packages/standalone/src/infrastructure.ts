/** NATS and PostgreSQL for one machine: embedded ones under the data directory, or the external ones the environment names. */
import path from "node:path";
import { claimDataDir, onFreePorts, type PidFile, resolveNatsServer, startNatsServer, startPostgres } from "@headwater/embedded";
import { BUDGETS, NATS_USERS, type NatsUser, natsPermissions } from "@headwater/protocol";
import { type Env, type Logger, ResourceStack, redactUrl } from "@headwater/runtime";
import { openDataDir, postgresDir, type loadSecrets } from "./data-dir.ts";
import type { Options } from "./options.ts";

export interface Infrastructure {
  natsUrl: string;
  /** Absent with an external NATS whose URL carries its credentials. */
  natsUsers?: Record<NatsUser, { user: string; password: string }>;
  databaseUrl: string;
  pids: PidFile;
  stop(): Promise<void>;
}

export async function startInfrastructure(
  options: Options,
  env: Env,
  secrets: ReturnType<typeof loadSecrets>,
  log: Logger,
  say: (text: string) => void,
): Promise<Infrastructure> {
  openDataDir(options.dataDir);
  const pids = await claimDataDir(options.dataDir);
  if (pids.reaped.length > 0) log.warn({ reaped: pids.reaped }, "standalone.orphans_reaped");
  const stack = new ResourceStack();
  stack.defer(() => pids.release());
  try {
    const [nats, databaseUrl] = await Promise.all([
      options.natsUrl === undefined ? embeddedNats(options, env, secrets, pids, stack, log, say) : externalNats(options.natsUrl),
      options.databaseUrl ?? embeddedPostgres(options, env, secrets, pids, stack, log),
    ]);
    log.info({ nats: redactUrl(nats.natsUrl), database: redactUrl(databaseUrl) }, "standalone.infrastructure_ready");
    return { ...nats, databaseUrl, pids, stop: () => stack.close() };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

function externalNats(natsUrl: string): Pick<Infrastructure, "natsUrl" | "natsUsers"> {
  return { natsUrl };
}

async function embeddedNats(
  options: Options,
  env: Env,
  secrets: ReturnType<typeof loadSecrets>,
  pids: PidFile,
  stack: ResourceStack,
  log: Logger,
  say: (text: string) => void,
): Promise<Pick<Infrastructure, "natsUrl" | "natsUsers">> {
  const binary = await resolveNatsServer(env, say);
  const users = NATS_USERS.map((user) => ({ user, password: secrets.nats[user], permissions: natsPermissions(user) }));
  const server = await onFreePorts(2, (port = 0, monitorPort = 0) =>
    startNatsServer({
      bin: binary.bin,
      dir: path.join(options.dataDir, "nats"),
      port,
      monitorPort,
      maxFileBytes: BUDGETS.laptop.maxFileBytes,
      users,
      onPid: (pid) => pids.set("nats-server", pid),
      onExit: (info) => log[info.restarting ? "warn" : "debug"](info, "nats.exited"),
    }),
  );
  stack.defer(() => server.stop());
  return {
    natsUrl: server.url,
    natsUsers: Object.fromEntries(users.map(({ user, password }) => [user, { user, password }])) as Record<
      NatsUser,
      { user: string; password: string }
    >,
  };
}

async function embeddedPostgres(
  options: Options,
  env: Env,
  secrets: ReturnType<typeof loadSecrets>,
  pids: PidFile,
  stack: ResourceStack,
  log: Logger,
): Promise<string> {
  const server = await onFreePorts(1, (port = 0) =>
    startPostgres({
      env,
      dataDir: postgresDir(options.dataDir),
      port,
      password: secrets.postgresPassword,
      onPid: (pid) => pids.set("postgres", pid),
      onExit: (info) => log[info.restarting ? "warn" : "debug"](info, "postgres.exited"),
    }),
  );
  stack.defer(() => server.stop());
  return server.url;
}

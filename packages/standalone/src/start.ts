/** The whole system on this machine: infrastructure, services, demo, run file. `main.ts` runs it, tests call it. */
import { createLogger, type Env, type Logger, ResourceStack } from "@headwater/runtime";
import { loadSecrets, openDataDir } from "./data-dir.ts";
import { type DemoKeys, demoKeys, startDemoTraffic } from "./demo/demo.ts";
import { startInfrastructure } from "./infrastructure.ts";
import type { Options } from "./options.ts";
import { startPerService } from "./per-service.ts";
import { writeRunFile } from "./run-file.ts";
import { startSingleProcess } from "./single-process.ts";
import type { RunningSystem } from "./system.ts";

export interface Standalone extends RunningSystem {
  adminToken: string;
  demo?: DemoKeys;
}

export interface StartHooks {
  log?: Logger;
  /** Progress for a person: what is being fetched or started. */
  say?: (text: string) => void;
}

export async function startStandalone(options: Options, env: Env, hooks: StartHooks = {}): Promise<Standalone> {
  const log = hooks.log ?? createLogger({ service: "standalone", level: env["LOG_LEVEL"] || "warn" });
  const say = hooks.say ?? (() => undefined);
  const stack = new ResourceStack();
  try {
    openDataDir(options.dataDir);
    const secrets = loadSecrets(options.dataDir, env);
    // On one laptop every host may receive events; production keeps the collector's default.
    const serviceEnv: Env = { COLLECTOR_REQUIRE_REGISTERED_HOST: "false", AUTH_DEFAULT_DOMAINS: "*", ...env };
    const infrastructure = await startInfrastructure(options, env, secrets, log, say);
    stack.defer(() => infrastructure.stop());
    const system = options.perService
      ? await startPerService(options, serviceEnv, infrastructure, secrets, log)
      : await startSingleProcess(options, serviceEnv, infrastructure, secrets);
    stack.defer(() => system.stop());
    const runFile = writeRunFile(system.port, {
      pid: process.pid,
      url: system.url,
      dataDir: options.dataDir,
      adminToken: secrets.adminToken,
      natsUrl: infrastructure.natsUrl,
      ...(infrastructure.natsUsers ? { natsUsers: { admin: infrastructure.natsUsers.admin, tap: infrastructure.natsUsers.tap } } : {}),
      databaseUrl: infrastructure.databaseUrl,
      adminPorts: system.adminPorts,
    });
    stack.defer(() => runFile.remove());
    let demo: DemoKeys | undefined;
    if (options.demo) {
      demo = await demoKeys(system.url, secrets.adminToken, options.dataDir);
      const traffic = startDemoTraffic(system.url, demo.writeKey, log);
      stack.defer(() => traffic.stop());
    }
    return { ...system, adminToken: secrets.adminToken, ...(demo ? { demo } : {}), stop: () => stack.close() };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

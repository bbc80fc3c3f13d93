/** The whole system on this machine: infrastructure, services, demo, run file. `main.ts` runs it, tests call it. */
import { createLogger, type Env, type Logger, ResourceStack } from "@headwater/runtime";
import { loadSecrets, openDataDir } from "./data-dir.ts";
import { demoAccount } from "./demo/account.ts";
import { demoKeys, startDemoTraffic } from "./demo/demo.ts";
import { startDemoFeeds } from "./demo/feeds.ts";
import { type DemoAccount, type DemoKeys, openNotes } from "./demo/notes.ts";
import { startInfrastructure } from "./infrastructure.ts";
import type { Options } from "./options.ts";
import { writeRunFile } from "./run-file.ts";
import type { RunningSystem } from "./system.ts";

export interface Standalone extends RunningSystem {
  adminToken: string;
  demo?: DemoKeys & { account?: DemoAccount };
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
    const serviceEnv: Record<string, string | undefined> = {
      COLLECTOR_REQUIRE_REGISTERED_HOST: "false",
      AUTH_DEFAULT_DOMAINS: "*",
      ...env,
    };
    const infrastructure = await startInfrastructure(options, env, secrets, log, say);
    stack.defer(() => infrastructure.stop());
    const notes = openNotes(options.dataDir);
    const demoFeeds = options.demo ? await startDemoFeeds(log, notes.read().upstreamPort ?? 0) : undefined;
    if (demoFeeds) {
      stack.defer(() => demoFeeds.upstream.stop());
      notes.note({ upstreamPort: demoFeeds.upstream.port });
      // Only this one local address; everything else stays subject to the outbound rules.
      serviceEnv["UPSTREAM_ALLOWED_HOSTS"] = [env["UPSTREAM_ALLOWED_HOSTS"], demoFeeds.upstream.host].filter(Boolean).join(",");
    }
    // Each loads only what it runs: a supervisor of processes has no use for the code of six services.
    const system = options.perService
      ? await (await import("./per-service.ts")).startPerService(options, serviceEnv, infrastructure, secrets, log)
      : await (await import("./single-process.ts")).startSingleProcess(options, serviceEnv, infrastructure, secrets);
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
    let demo: Standalone["demo"];
    if (demoFeeds) {
      demo = await demoKeys(system.url, secrets.adminToken, notes);
      const traffic = startDemoTraffic(system.url, demo.writeKey, log);
      stack.defer(() => traffic.stop());
      demo.account = await demoAccount(system.url, notes, demoFeeds.feeds);
    }
    return { ...system, adminToken: secrets.adminToken, ...(demo ? { demo } : {}), stop: () => stack.close() };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

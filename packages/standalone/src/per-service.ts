/** One process per service (or several), restarted when they die, behind the front on the public port. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDir, type Child, onFreePorts, startChild } from "@headwater/embedded";
import { SERVICES, type ServiceName } from "@headwater/protocol";
import { type Env, type HealthReport, type Logger, ResourceStack, systemHealth } from "@headwater/runtime";
import type { loadSecrets } from "./data-dir.ts";
import { type Backend, startFront } from "./front.ts";
import type { Infrastructure } from "./infrastructure.ts";
import type { Options } from "./options.ts";
import type { RunningSystem } from "./system.ts";

const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");

interface Slot {
  instance: string;
  service: ServiceName;
  port: number;
  adminPort: number;
  child: Child;
}

export async function startPerService(
  options: Options,
  env: Env,
  infrastructure: Infrastructure,
  secrets: ReturnType<typeof loadSecrets>,
  log: Logger,
): Promise<RunningSystem> {
  const stack = new ResourceStack();
  try {
    const wanted = SERVICES.flatMap((service) =>
      Array.from({ length: options.replicas[service] }, (_, n) => ({ service, instance: `${service}-${n}` })),
    );
    const outcomes = await Promise.allSettled(
      wanted.map((slot) => startSlot(slot.service, slot.instance, env, infrastructure, secrets, log)),
    );
    const slots = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    const order: ServiceName[] = ["auth", "intelligence", "routing", "scoring", "ingest", "edge"];
    for (const service of order) {
      const group = slots.filter((slot) => slot.service === service);
      stack.defer(async () => void (await Promise.all(group.map((slot) => slot.child.stop()))));
    }
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure) throw failure.reason;

    const health = async () =>
      systemHealth(Object.fromEntries(await Promise.all(slots.map(async (slot) => [slot.instance, await ask(slot)] as const))));
    const backends = Object.fromEntries(
      SERVICES.map((service) => [
        service,
        slots
          .filter((slot) => slot.service === service)
          .map((slot): Backend => ({ port: slot.port, alive: () => slot.child.state === "ready" })),
      ]),
    ) as Record<ServiceName, Backend[]>;
    const front = await startFront({
      host: options.host,
      port: options.port,
      backends,
      health,
      ...(options.tls ? { tls: { cert: readFileSync(options.tls.certFile, "utf8"), key: readFileSync(options.tls.keyFile, "utf8") } } : {}),
    });
    let closing: Promise<void> | undefined;
    return {
      url: front.url,
      port: front.port,
      adminPorts: Object.fromEntries(slots.map((slot) => [slot.instance, slot.adminPort])),
      health,
      stop: () =>
        (closing ??= (async () => {
          const listener = front.close();
          await stack.close();
          await listener;
        })()),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}

function startSlot(
  service: ServiceName,
  instance: string,
  env: Env,
  infrastructure: Infrastructure,
  secrets: ReturnType<typeof loadSecrets>,
  log: Logger,
): Promise<Slot> {
  return onFreePorts(2, async (port = 0, adminPort = 0) => {
    const user = infrastructure.natsUsers?.[service];
    const child = await startChild({
      name: instance,
      command: process.execPath,
      args: [...process.execArgv, path.join(projectRoot, "services", service, "src/main.ts")],
      cwd: projectRoot,
      ipc: true,
      env: {
        ...env,
        LOG_LEVEL: env["LOG_LEVEL"] || "warn",
        // glibc otherwise keeps freed buffers in one arena per thread: memory that is not used, but not given back.
        MALLOC_ARENA_MAX: "2",
        NATS_URL: infrastructure.natsUrl,
        ...(user ? { NATS_USER: user.user, NATS_PASSWORD: user.password } : {}),
        DATABASE_URL: infrastructure.databaseUrl,
        HEADWATER_INSTANCE: instance,
        // Halves the CPU of a restart: types are stripped and code is compiled once per version.
        NODE_COMPILE_CACHE: env["NODE_COMPILE_CACHE"] || path.join(cacheDir(env), "compile"),
        HEADWATER_PROFILE: "laptop",
        // The front is the only client of these listeners and the first hop of every request.
        TRUSTED_PROXIES: [env["TRUSTED_PROXIES"], "127.0.0.1/32"].filter(Boolean).join(","),
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: String(port),
        ADMIN_HOST: "127.0.0.1",
        ADMIN_PORT: String(adminPort),
        KEY_PEPPER: secrets.keyPepper,
        CURSOR_KEY: secrets.cursorKey,
        PRIVACY_KEY: secrets.privacyKey,
        HEADWATER_ADMIN_TOKEN: secrets.adminToken,
        JWT_SECRET: secrets.jwtSecret,
        ENCRYPTION_KEY: secrets.encryptionKey,
      },
      readyWithinMs: 60_000,
      stopSignal: "SIGTERM",
      stopWithinMs: 15_000,
      onPid: (pid) => infrastructure.pids.set(instance, pid),
      onLine: (line) => void (line === "" || process.stderr.write(`${line}\n`)),
      onExit: (info) => log[info.restarting ? "warn" : "debug"]({ instance, ...info }, "service.exited"),
      // What was ready is back at once; what does not become ready again is given time.
      restartDelayMs: (attempt) => (attempt === 1 ? 0 : Math.min(100 * 2 ** (attempt - 1), 5_000)),
    });
    return { instance, service, port, adminPort, child };
  });
}

async function ask(slot: Slot): Promise<HealthReport> {
  try {
    const answer = await fetch(`http://127.0.0.1:${slot.adminPort}/health/ready`, { signal: AbortSignal.timeout(1_000) });
    // Our own admin listener: an array with one report per service of the process.
    const [report] = (await answer.json()) as HealthReport[];
    if (report) return { status: report.status, checks: report.checks };
    return { status: "down", checks: { process: { ok: false, detail: "no report" } } };
  } catch {
    return { status: "down", checks: { process: { ok: false, detail: slot.child.state } } };
  }
}

/**
 * A real nats-server with JetStream on loopback: fsync before every acknowledgement, one user per service with its own permissions.
 * Restarted on the same port when it dies. Monitoring (`/healthz`) is on loopback as well.
 */
import fs from "node:fs";
import path from "node:path";
import { type Child, startChild } from "./child-process.ts";

export interface NatsUserConfig {
  user: string;
  password: string;
  permissions?: { publish: { allow: string[]; deny?: string[] }; subscribe: { allow: string[]; deny?: string[] } };
}

export interface NatsServerOptions {
  bin: string;
  /** Holds the configuration file and the store. */
  dir: string;
  port: number;
  monitorPort: number;
  maxFileBytes: number;
  /** Empty = no authentication (tests). */
  users: NatsUserConfig[];
  onPid?: (pid: number | undefined) => void;
  onExit?: (info: { restarting: boolean }) => void;
  restart?: boolean;
  /** Of tests: child-process.ts. */
  temporaryDir?: string;
}

export async function startNatsServer(options: NatsServerOptions): Promise<Child & { url: string; monitorUrl: string }> {
  fs.mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const config = path.join(options.dir, "nats.conf");
  fs.writeFileSync(config, natsConfig(options), { mode: 0o600 });
  const child = await startChild({
    name: "nats-server",
    command: options.bin,
    args: ["-c", config],
    env: { PATH: process.env["PATH"] },
    readyLine: /Server is ready/,
    readyWithinMs: 30_000,
    stopSignal: "SIGTERM",
    stopWithinMs: 10_000,
    ...(options.onPid ? { onPid: options.onPid } : {}),
    ...(options.onExit ? { onExit: options.onExit } : {}),
    temporaryDir: options.temporaryDir,
    ...(options.restart === false ? {} : { restartDelayMs: (attempt: number) => Math.min(100 * attempt, 2000) }),
  });
  return Object.assign(child, { url: `nats://127.0.0.1:${options.port}`, monitorUrl: `http://127.0.0.1:${options.monitorPort}` });
}

/** JSON is valid nats-server configuration syntax for every value used here. */
export function natsConfig(options: Pick<NatsServerOptions, "dir" | "port" | "monitorPort" | "maxFileBytes" | "users">): string {
  const lines = [
    "host: 127.0.0.1",
    `port: ${options.port}`,
    `http: "127.0.0.1:${options.monitorPort}"`,
    // NATS_MAX_PAYLOAD_BYTES of the protocol package, which this one does not import: an upstream message of 4 MiB and its envelope.
    "max_payload: 8388608",
    "write_deadline: 10s",
    `jetstream { store_dir: ${JSON.stringify(path.join(options.dir, "store"))}, max_mem: 64M, max_file: ${options.maxFileBytes}, sync_interval: always }`,
  ];
  if (options.users.length > 0) lines.push(`authorization { users: ${JSON.stringify(options.users)} }`);
  return `${lines.join("\n")}\n`;
}

/**
 * A nats-server for baselines, with the fsync policy as an argument: the product always syncs before it acknowledges, and the price of
 * that is one of the things measured. Touches a temporary directory and one loopback port.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { freePort, resolveNatsServer, startChild } from "@headwater/embedded";

export type SyncPolicy = "always" | "lazy";

export interface BenchNats {
  url: string;
  pid: number;
  version: string;
  stop(): Promise<void>;
}

export async function startBenchNats(sync: SyncPolicy, env: NodeJS.ProcessEnv): Promise<BenchNats> {
  const binary = await resolveNatsServer(env, (message) => console.error(message));
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-bench-"));
  const port = await freePort();
  const store = `jetstream { store_dir: ${JSON.stringify(path.join(dir, "store"))}, max_file: 8G${sync === "always" ? ", sync_interval: always" : ""} }`;
  const config = path.join(dir, "nats.conf");
  fs.writeFileSync(config, `host: 127.0.0.1\nport: ${port}\nmax_payload: 2MB\n${store}\n`);
  const child = await startChild({
    name: "nats-server",
    command: binary.bin,
    args: ["-c", config],
    env: { PATH: env["PATH"] },
    readyLine: /Server is ready/,
    readyWithinMs: 30_000,
    stopSignal: "SIGTERM",
    stopWithinMs: 10_000,
  });
  return {
    url: `nats://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    version: binary.version,
    stop: async () => {
      await child.stop();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

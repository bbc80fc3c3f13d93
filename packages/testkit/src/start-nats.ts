/**
 * A real nats-server for tests: JetStream, fsync before every acknowledgement, free port, temporary store.
 * Can be killed and paused by its own pid; a killed one comes back by itself on the same port and store.
 */
import { onFreePorts, type NatsUserConfig, resolveNatsServer, startNatsServer } from "@headwater/embedded";
import { pauseProcess } from "./pause-process.ts";
import { makeTempDir } from "./temp-dir.ts";

export interface TestNats {
  url: string;
  monitorUrl: string;
  /** Goes with the server. */
  dir: string;
  pid(): number;
  /** SIGKILL. The supervisor restarts it; connections see a disconnect and a reconnect. */
  kill(): void;
  /** SIGSTOP: connections stay open and silent. Resolves when no thread of the server runs any more. */
  pause(): Promise<void>;
  resume(): void;
  stop(): Promise<void>;
}

export async function startNats(options: { users?: NatsUserConfig[]; maxFileBytes?: number } = {}): Promise<TestNats> {
  const { bin } = await resolveNatsServer(process.env, () => undefined);
  const temp = makeTempDir("headwater-nats");
  const { maxFileBytes = 16 * 1024 ** 3, users = [] } = options;
  const server = await onFreePorts(2, (port = 0, monitorPort = 0) =>
    startNatsServer({ bin, dir: temp.dir, port, monitorPort, maxFileBytes, users, temporaryDir: temp.dir }),
  );
  const pid = (): number => {
    if (server.pid === undefined) throw new Error("nats-server is not running");
    return server.pid;
  };
  return {
    url: server.url,
    monitorUrl: server.monitorUrl,
    dir: temp.dir,
    pid,
    kill: () => void process.kill(pid(), "SIGKILL"),
    pause: () => pauseProcess(pid()),
    resume: () => void process.kill(pid(), "SIGCONT"),
    async stop() {
      await server.stop();
      temp.remove();
    },
  };
}

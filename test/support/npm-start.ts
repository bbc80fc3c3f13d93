/** `npm start` as a user runs it: the bootstrap file in a child process, stopped by its own pid. For e2e and fault tests. */
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

export interface StartedSystem {
  url: string;
  port: number;
  pid: number;
  /** Everything printed so far. */
  output(): string;
  /** Sends the signal and resolves with the exit code when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

/** Resolves at the ready line; rejects with the output when the process ends before it. */
export async function npmStart(args: string[], env: Record<string, string | undefined> = {}): Promise<StartedSystem> {
  const child: ChildProcess = spawn(process.execPath, ["packages/embedded/scripts/run.mjs", "start", ...args], {
    cwd: projectRoot,
    // A model that happens to run on this machine is not part of a test or a benchmark.
    env: { ...process.env, OLLAMA_DISCOVERY_URL: "off", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let text = "";
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const ready = new Promise<string>((resolve, reject) => {
    const onText = (chunk: unknown): void => {
      text += String(chunk);
      const line = /^headwater ready (\S+)$/m.exec(text);
      // The banner ends with the hint at the other commands; a system without demo prints one hint only.
      if (line?.[1] && /headwater (doctor|keys create)/.test(text)) resolve(line[1]);
    };
    child.stdout?.on("data", onText);
    child.stderr?.on("data", onText);
    child.once("error", reject);
    void exited.then((code) => reject(new Error(`npm start ended with ${code}:\n${text}`)));
  });
  const url = await ready;
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid ?? 0,
    output: () => text,
    exited,
    stop: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return await exited;
    },
  };
}

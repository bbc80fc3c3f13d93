/**
 * A supervised child: started, watched for its ready sign, restarted when it dies unasked, stopped on demand.
 * Detached, so that a terminal's Ctrl-C reaches us first and we stop things in order; it ends when we are gone without having stopped it.
 * Tests: child-process.int.test.ts, end-with-parent.int.test.ts of the test kit.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { endWithParent } from "./end-with-parent.ts";

export interface ChildOptions {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** IPC channel for `ready` messages; otherwise `readyLine` on stderr decides. */
  ipc?: boolean;
  readyLine?: RegExp;
  readyWithinMs: number;
  stopSignal: NodeJS.Signals;
  stopWithinMs: number;
  /** Called for every line the child writes to stderr or stdout after it is ready, and for its exit. */
  onLine?: (line: string) => void;
  onMessage?: (message: unknown) => void;
  onExit?: (info: { code: number | null; signal: NodeJS.Signals | null; restarting: boolean }) => void;
  /** Called with each new pid, so that orphans of a killed supervisor can be found. */
  onPid?: (pid: number | undefined) => void;
  /** Removed when we are gone without having stopped the child: of tests only, whose directories nobody needs again. */
  temporaryDir?: string | undefined;
  /** Delay before restart number n (from 1), ms; undefined = do not restart. */
  restartDelayMs?: (attempt: number) => number;
}

export interface Child {
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly state: "starting" | "ready" | "restarting" | "stopped";
  stop(): Promise<void>;
}

/** Resolves at the first ready sign; rejects when the first start fails. Later deaths are restarted for ever. */
export async function startChild(options: ChildOptions): Promise<Child> {
  let child: ChildProcess | undefined;
  let state: Child["state"] = "starting";
  let restarts = 0;
  let attemptsInRow = 0;
  let stopping = false;
  let retry: NodeJS.Timeout | undefined;

  const launch = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const started = spawn(options.command, options.args, {
        env: options.env,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.uid === undefined ? {} : { uid: options.uid }),
        ...(options.gid === undefined ? {} : { gid: options.gid }),
        detached: true,
        stdio: options.ipc ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"],
      });
      child = started;
      endWithParent(started, { signal: options.stopSignal, withinMs: options.stopWithinMs, remove: options.temporaryDir });
      options.onPid?.(started.pid);
      // Kept only until the child is ready, for the error text of a failed start.
      let startupText = "";
      let ready = false;
      const late = setTimeout(() => {
        reject(new Error(`${options.name} was not ready within ${options.readyWithinMs} ms: ${startupText.slice(-2000)}`));
        started.kill("SIGKILL");
      }, options.readyWithinMs);
      const becomeReady = (): void => {
        if (ready) return;
        ready = true;
        clearTimeout(late);
        startupText = "";
        attemptsInRow = 0;
        state = "ready";
        resolve();
      };
      for (const stream of [started.stdout, started.stderr]) {
        let rest = "";
        stream?.setEncoding("utf8").on("data", (text: string) => {
          if (!ready) startupText = (startupText + text).slice(-8000);
          const lines = (rest + text).split("\n");
          rest = (lines.pop() ?? "").slice(-8000);
          for (const line of lines) {
            if (options.readyLine?.test(line)) becomeReady();
            options.onLine?.(line);
          }
        });
      }
      started.on("message", (message) => {
        if (typeof message === "object" && message !== null && "ready" in message) becomeReady();
        options.onMessage?.(message);
      });
      started.once("error", (error) => {
        clearTimeout(late);
        reject(error);
      });
      started.once("exit", (code, signal) => {
        clearTimeout(late);
        options.onPid?.(undefined);
        const again = !stopping && ready && options.restartDelayMs !== undefined;
        options.onExit?.({ code, signal, restarting: again });
        if (again) scheduleRestart();
        else if (!ready) reject(new Error(`${options.name} exited (${signal ?? code}) before it was ready: ${startupText.slice(-2000)}`));
        if (!again) state = "stopped";
      });
    });

  const scheduleRestart = (): void => {
    if (stopping) return;
    state = "restarting";
    attemptsInRow++;
    restarts++;
    retry = setTimeout(() => launch().catch(() => scheduleRestart()), options.restartDelayMs?.(attemptsInRow) ?? 1000);
  };

  await launch();
  return {
    get pid() {
      return child?.pid;
    },
    get restarts() {
      return restarts;
    },
    get state() {
      return state;
    },
    stop: () =>
      new Promise((resolve) => {
        stopping = true;
        clearTimeout(retry);
        if (!child || child.exitCode !== null || child.signalCode !== null) {
          state = "stopped";
          return resolve();
        }
        const kill = setTimeout(() => child?.kill("SIGKILL"), options.stopWithinMs);
        child.once("exit", () => {
          clearTimeout(kill);
          resolve();
        });
        child.kill(options.stopSignal);
      }),
  };
}

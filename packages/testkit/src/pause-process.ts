/**
 * Stops a process as a whole. The signal alone is a request: on a busy machine other threads answer for some time after `kill`
 * has returned. Tests: pause-process.int.test.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { until } from "./until.ts";

/** SIGSTOP, then waits until every thread is stopped (where /proc tells, which is Linux). Undo with SIGCONT. */
export async function pauseProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  if (process.platform !== "linux") return;
  await until(`process ${pid} stopped`, () => threadStates(pid).every((state) => state === "T" || state === "gone"));
}

/** Of each thread the letter of proc(5), or `gone` when it ended while we looked. */
export function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      // The name in brackets may hold anything, so the state is what follows the last bracket.
      return stat.charAt(stat.lastIndexOf(")") + 2);
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) return "gone";
      throw error;
    }
  });
}

/**
 * A child that does not outlive this process, whatever ends us: a signal to us alone, Ctrl-C in the terminal, kill -9. No handler of ours could do
 * that, so a tiny process of its own watches us (scripts/end-with-parent.sh). Tests: packages/testkit/src/end-with-parent.int.test.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../scripts/end-with-parent.sh", import.meta.url));

export interface EndWithParent {
  /** What the child is told first. */
  signal?: NodeJS.Signals;
  /** Killed when it is still there after this. */
  withinMs?: number;
  /** A directory of the child alone, removed after it. */
  remove?: string | undefined;
}

/** Call it right after the child was started. */
export function endWithParent(child: ChildProcess, { signal = "SIGKILL", withinMs = 0, remove = "" }: EndWithParent = {}): void {
  if (child.pid === undefined) return;
  const args = [SCRIPT, String(child.pid), signal.replace("SIG", ""), String(Math.ceil(withinMs / 1_000)), remove];
  const watch = spawn("/bin/sh", args, {
    // Out of our process group: Ctrl-C is for us, and it has to be there afterwards.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
    env: { PATH: process.env["PATH"] },
  });
  watch.on("error", isLost);
  watch.stdin.on("error", isLost);
  // Neither keeps us alive.
  watch.unref();
  if ("unref" in watch.stdin && typeof watch.stdin.unref === "function") watch.stdin.unref();
  child.once("exit", () => watch.stdin.end("done\n"));
}

/** Nobody watches (any more): the child is as safe as it was before there was a watch. */
function isLost(): void {}

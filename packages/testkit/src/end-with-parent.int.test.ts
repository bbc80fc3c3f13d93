/** Servers of tests end with the process that started them, whatever ends it. The process and the servers are real. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { until } from "./until.ts";

const SCRIPT = new URL("fixtures/abandons-servers.ts", import.meta.url);

const started: ChildProcess[] = [];
const servers = new Set<number>();
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  for (const pid of servers) if (isRunning(pid)) process.kill(pid, "SIGKILL");
  servers.clear();
});

/** A group of its own, as a terminal gives to a command. */
async function abandon(...names: string[]): Promise<{ child: ChildProcess; group: number; pids: number[] }> {
  const child = fork(SCRIPT, names, { detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] });
  started.push(child);
  const [pids] = (await once(child, "message")) as [number[]];
  if (child.pid === undefined) throw new Error("did not start");
  expect(pids).toHaveLength(names.length);
  for (const pid of pids) {
    servers.add(pid);
    expect(isRunning(pid)).toBe(true);
  }
  return { child, group: -child.pid, pids };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // What init has not collected yet has ended all the same.
    return process.platform !== "linux" || !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "ENOENT")) return false;
    throw error;
  }
}

it.each<[string, string[], (victim: { child: ChildProcess; group: number }) => unknown]>([
  ["Ctrl-C in its terminal", ["nats", "postgres"], ({ group }) => process.kill(group, "SIGINT")],
  ["SIGTERM to it alone", ["nats"], ({ child }) => child.kill("SIGTERM")],
  ["kill -9", ["nats", "postgres"], ({ child }) => child.kill("SIGKILL")],
  ["an error of its own", ["nats"], ({ child }) => child.send("fail")],
])("%s leaves no server behind", async (_how, names, end) => {
  const victim = await abandon(...names);
  const exited = once(victim.child, "exit");
  end(victim);
  await exited;
  await until("its servers are gone", () => !victim.pids.some(isRunning), 25_000);
});

it("a server that was killed and came back is watched as the first one was", async () => {
  const { child, pids } = await abandon("nats");
  const [first = 0] = pids;
  const replaced = once(child, "message");
  process.kill(first, "SIGKILL");
  const [[second = 0]] = (await replaced) as [number[]];
  expect(second).not.toBe(first);
  expect(isRunning(second)).toBe(true);
  child.kill("SIGKILL");
  await until("the second server is gone", () => !isRunning(second), 25_000);
});

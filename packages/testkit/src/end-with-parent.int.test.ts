/** Servers of tests end with the process that started them, whatever ends it. The process and the servers are real. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { until } from "./until.ts";

const SCRIPT = new URL("fixtures/abandons-servers.ts", import.meta.url);

/** A server is killed after 15 s at the latest; all of it takes less than one on a quiet machine. */
const WITHIN_MS = 30_000;

interface Server {
  pid: number;
  dir: string;
}

const started: ChildProcess[] = [];
const known: Server[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  for (const { pid } of known.splice(0)) if (isRunning(pid)) process.kill(pid, "SIGKILL");
});

/** A group of its own, as a terminal gives to a command. */
async function abandon(...names: string[]): Promise<{ child: ChildProcess; group: number; servers: Server[] }> {
  const child = fork(SCRIPT, names, { detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] });
  started.push(child);
  const servers = await told(child);
  if (child.pid === undefined) throw new Error("did not start");
  expect(servers).toHaveLength(names.length);
  for (const { pid, dir } of servers) expect([isRunning(pid), existsSync(dir)]).toEqual([true, true]);
  return { child, group: -child.pid, servers };
}

async function told(child: ChildProcess): Promise<Server[]> {
  // Only the script sends on this channel.
  const [servers] = (await once(child, "message")) as [Server[]];
  known.push(...servers);
  return servers;
}

const isLeft = ({ pid, dir }: Server): boolean => isRunning(pid) || existsSync(dir);

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
])(
  "%s leaves no server and no files of one behind",
  async (_how, names, end) => {
    const victim = await abandon(...names);
    const exited = once(victim.child, "exit");
    end(victim);
    await exited;
    await until("its servers are gone", () => !victim.servers.some(isLeft), WITHIN_MS);
  },
  60_000,
);

it("a server that was killed and came back is watched as the first one was", async () => {
  const { child, servers } = await abandon("nats");
  const replaced = told(child);
  for (const { pid } of servers) process.kill(pid, "SIGKILL");
  const second = await replaced;
  expect(second.map(({ dir }) => dir)).toEqual(servers.map(({ dir }) => dir));
  expect(second.map(({ pid }) => pid)).not.toEqual(servers.map(({ pid }) => pid));
  expect(second.every(({ pid }) => isRunning(pid))).toBe(true);
  child.kill("SIGKILL");
  await until("the second server is gone", () => !second.some(isLeft), WITHIN_MS);
}, 60_000);

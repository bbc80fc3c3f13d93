/**
 * Who of ours runs on a data directory: refuses a second supervisor, and reaps the children of one that was killed with SIGKILL.
 * A process is recognised by pid and start time together, because pids are reused. Tests: pid-file.int.test.ts.
 */
import fs from "node:fs";
import path from "node:path";
import { spawnSync } from "node:child_process";

interface Entry {
  name: string;
  pid: number;
  /** Opaque; equal for the same process only. */
  startedAt: string;
}

export interface PidFile {
  set(name: string, pid: number | undefined): void;
  /** Removes the file; call when everything is stopped. */
  release(): void;
}

/** @throws Error when another live supervisor holds the directory. @returns also the names of the orphans that were ended. */
export async function claimDataDir(dataDir: string, supervisorPid: number = process.pid): Promise<PidFile & { reaped: string[] }> {
  const file = path.join(dataDir, "pids.json");
  const before = read(file);
  const holder = before.find((entry) => entry.name === "supervisor");
  if (holder && holder.pid !== supervisorPid && isSame(holder))
    throw new Error(`${dataDir} is in use by a running Headwater (pid ${holder.pid})`);
  const reaped: string[] = [];
  for (const orphan of before.filter((entry) => entry.name !== "supervisor" && isSame(entry)).toReversed()) {
    await end(orphan);
    reaped.push(orphan.name);
  }
  const entries = new Map<string, Entry>();
  const write = (): void => {
    fs.writeFileSync(`${file}.tmp`, JSON.stringify([...entries.values()]), { mode: 0o600 });
    fs.renameSync(`${file}.tmp`, file);
  };
  const set: PidFile["set"] = (name, pid) => {
    if (pid === undefined) entries.delete(name);
    else entries.set(name, { name, pid, startedAt: startTime(pid) ?? "" });
    write();
  };
  set("supervisor", supervisorPid);
  return { set, release: () => fs.rmSync(file, { force: true }), reaped };
}

function read(file: string): Entry[] {
  if (!fs.existsSync(file)) return [];
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(file, "utf8"));
    // Written by ourselves; anything else reads as "nobody".
    return Array.isArray(parsed) ? parsed.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== "object" || value === null) return false;
  const { name, pid, startedAt }: { name?: unknown; pid?: unknown; startedAt?: unknown } = value;
  return typeof name === "string" && Number.isInteger(pid) && Number(pid) > 0 && typeof startedAt === "string";
}

function isSame(entry: Entry): boolean {
  const now = startTime(entry.pid);
  return now !== undefined && now === entry.startedAt;
}

function startTime(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // A zombie has stopped running already; field 3 is the state, field 22 the start time in ticks.
      return fields[0] === "Z" ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  const done = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

/** Asks it to stop (PostgreSQL by its fast shutdown), kills it after 10 s, and waits until it has let go of its port and files. */
async function end(entry: Entry): Promise<void> {
  signal(entry.pid, entry.name === "postgres" ? "SIGINT" : "SIGTERM");
  await gone(entry, 10_000);
  if (!isSame(entry)) return;
  signal(entry.pid, "SIGKILL");
  await gone(entry, 2_000);
}

async function gone(entry: Entry, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (isSame(entry) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 25));
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

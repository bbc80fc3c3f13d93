/**
 * CPU seconds, resident memory and its peak of any process of this host, read from /proc (Linux only: the bench box is Linux).
 * Touches /proc only.
 */
import fs from "node:fs";

export interface ProcessStats {
  /** User plus system time since the process started. */
  cpuSeconds: number;
  rssBytes: number;
  /** High-water mark since start or since {@link resetPeakRss}. */
  peakRssBytes: number;
}

const TICKS_PER_SECOND = 100;

/** Undefined when the process is gone. */
export function processStats(pid: number): ProcessStats | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      rssBytes: kibOf(status, "VmRSS"),
      peakRssBytes: kibOf(status, "VmHWM"),
    };
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Starts a new high-water mark; only for processes of our own user. */
export function resetPeakRss(pid: number): void {
  fs.writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function kibOf(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
}

export interface CpuUse {
  name: string;
  pid: number;
  cpuSeconds: number;
  peakRssBytes: number;
}

/** Measures what a set of processes uses between its construction and `stop`. A process that was replaced meanwhile is counted from its own start. */
export class CpuMeter {
  readonly #before = new Map<string, { pid: number; stats: ProcessStats }>();
  readonly #pids: () => ReadonlyMap<string, number>;
  readonly #startedMs = performance.now();

  constructor(pids: () => ReadonlyMap<string, number>) {
    this.#pids = pids;
    for (const [name, pid] of pids()) {
      resetPeakRss(pid);
      const stats = processStats(pid);
      if (stats) this.#before.set(name, { pid, stats });
    }
  }

  stop(): { seconds: number; processes: CpuUse[] } {
    const processes: CpuUse[] = [];
    for (const [name, pid] of this.#pids()) {
      const now = processStats(pid);
      if (!now) continue;
      const before = this.#before.get(name);
      const since = before && before.pid === pid ? before.stats.cpuSeconds : 0;
      processes.push({ name, pid, cpuSeconds: now.cpuSeconds - since, peakRssBytes: now.peakRssBytes });
    }
    return { seconds: (performance.now() - this.#startedMs) / 1000, processes };
  }
}

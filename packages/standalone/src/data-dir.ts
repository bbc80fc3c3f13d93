/**
 * The data directory: secrets generated at first start, ports that stay the same between starts, demo keys, and where PostgreSQL may live.
 * Files are 0600. As root the directories themselves are traversable, because PostgreSQL runs as `nobody`.
 */
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { NATS_USERS, type NatsUser } from "@headwater/protocol";
import type { Env, Secrets } from "@headwater/runtime";
import { z } from "zod";

const StoredSecrets = z.object({
  keyPepper: z.string().min(32),
  cursorKey: z.string().min(32),
  privacyKey: z.string().min(32),
  adminToken: z.string().min(32),
  jwtSecret: z.string().min(32).default(random),
  encryptionKey: z.string().min(32).default(random),
  postgresPassword: z.string().min(16),
  nats: z.record(z.string(), z.string()),
});
export type StoredSecrets = z.infer<typeof StoredSecrets>;

export function openDataDir(dir: string): void {
  fs.mkdirSync(dir, { recursive: true, mode: process.getuid?.() === 0 ? 0o755 : 0o700 });
}

/** Secrets of this installation; the environment wins over the generated ones. */
export function loadSecrets(dir: string, env: Env): Secrets & { postgresPassword: string; nats: Record<NatsUser, string> } {
  const file = path.join(dir, "secrets.json");
  const stored = fs.existsSync(file) ? StoredSecrets.parse(JSON.parse(fs.readFileSync(file, "utf8"))) : generate();
  for (const user of NATS_USERS) stored.nats[user] ??= random();
  writePrivate(file, stored);
  return {
    keyPepper: env["KEY_PEPPER"] || stored.keyPepper,
    cursorKey: env["CURSOR_KEY"] || stored.cursorKey,
    privacyKey: env["PRIVACY_KEY"] || stored.privacyKey,
    adminToken: env["HEADWATER_ADMIN_TOKEN"] || stored.adminToken,
    jwtSecret: env["JWT_SECRET"] || stored.jwtSecret,
    encryptionKey: env["ENCRYPTION_KEY"] || stored.encryptionKey,
    postgresPassword: stored.postgresPassword,
    // Every user was filled in two lines above.
    nats: stored.nats as Record<NatsUser, string>,
  };
}

function generate(): StoredSecrets {
  return {
    keyPepper: random(),
    cursorKey: random(),
    privacyKey: random(),
    adminToken: random(),
    jwtSecret: random(),
    encryptionKey: random(),
    postgresPassword: random(),
    nats: {},
  };
}

function random(): string {
  return randomBytes(32).toString("base64url");
}

export function writePrivate(file: string, value: unknown): void {
  fs.writeFileSync(`${file}.tmp`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.tmp`, file);
}

/**
 * Directory for PostgreSQL's files. Normally inside the data directory; as root, when `nobody` could not walk to it
 * (for example below a home that is 0700), a directory under /var/lib named after the data directory.
 */
export function postgresDir(dataDir: string): string {
  if (process.getuid?.() !== 0 || walkableByOthers(dataDir)) return path.join(dataDir, "postgres");
  const name = createHash("sha256").update(fs.realpathSync(dataDir)).digest("hex").slice(0, 16);
  const base = path.join("/var/lib/headwater", name);
  fs.mkdirSync(base, { recursive: true, mode: 0o755 });
  fs.writeFileSync(path.join(dataDir, "postgres.location"), `${base}\n`);
  return path.join(base, "postgres");
}

function walkableByOthers(dir: string): boolean {
  for (let at = fs.realpathSync(dir); ; at = path.dirname(at)) {
    if ((fs.statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

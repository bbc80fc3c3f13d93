/** A temporary directory other users may pass through: PostgreSQL runs as `nobody` when we are root. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export function makeTempDir(prefix: string): { dir: string; remove(): void } {
  const base = process.getuid?.() === 0 ? "/var/tmp" : os.tmpdir();
  const dir = fs.mkdtempSync(path.join(base, `${prefix}-`));
  fs.chmodSync(dir, 0o755);
  return { dir, remove: () => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }) };
}

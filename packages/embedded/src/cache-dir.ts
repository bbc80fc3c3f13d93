/** Where downloaded and unpacked runtimes live. Root uses a world-readable place, because PostgreSQL runs as `nobody` and `/root` is closed. */
import os from "node:os";
import path from "node:path";

export function cacheDir(env: Readonly<Record<string, string | undefined>>): string {
  if (env["HEADWATER_CACHE_DIR"]) return env["HEADWATER_CACHE_DIR"];
  if (process.getuid?.() === 0) return "/var/cache/headwater";
  return path.join(env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache"), "headwater");
}

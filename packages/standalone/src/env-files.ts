/** `.env.local` and `.env` of the project: what the real environment does not set comes from there, `.env.local` first. */
import fs from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";
import type { Env } from "@headwater/runtime";

export function withEnvFiles(env: Env, dir: string): Env {
  const layers = [".env", ".env.local"].map((name) => {
    const file = path.join(dir, name);
    return fs.existsSync(file) ? parseEnv(fs.readFileSync(file, "utf8")) : {};
  });
  return Object.assign({}, ...layers, env);
}

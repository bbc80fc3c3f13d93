/** A service process from outside: exit codes, ready message, signals, drain budget, and a parent that disappears. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os, { constants, getPriority } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";

const secret = "s".repeat(32);
const ENV = {
  NATS_URL: "nats://127.0.0.1:1",
  KEY_PEPPER: secret,
  CURSOR_KEY: secret,
  PRIVACY_KEY: secret,
  HEADWATER_ADMIN_TOKEN: secret,
  JWT_SECRET: secret,
  ENCRYPTION_KEY: secret,
  LOG_LEVEL: "info",
};

/** A whole `main.ts` with a service that does nothing; `body` goes before its return. */
const program = (body: string): string => `
  import { Router } from "express";
  import { Registry } from "prom-client";
  import { runService } from ${JSON.stringify(path.join(import.meta.dirname, "run-service.ts"))};
  import { ConfigError } from ${JSON.stringify(path.join(import.meta.dirname, "env.ts"))};
  await runService({
    name: "edge",
    givesWay: "GIVES_WAY" in process.env,
    env: process.env,
    parseConfig: (env) => {
      if (env.BAD) throw new ConfigError(["BAD: is not wanted"]);
      return {};
    },
    start: async (config, deps) => {
      let stop = async () => process.stdout.write("stopped\\n");
      ${body}
      process.stdout.write(deps.instanceId + "\\n");
      return { name: "edge", router: Router(), health: () => ({ status: "up", checks: {} }), metrics: new Registry(),
        status: () => ({}), settled: async () => {}, stop: () => stop() };
    },
  });`;

interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

interface Run {
  child: ChildProcess;
  out: () => string;
  err: () => string;
  ready: Promise<{ port: number; adminPort: number }>;
  exit: Promise<Exit>;
}

const running: Run[] = [];
afterEach(async () => {
  for (const { child, exit } of running.splice(0)) {
    child.kill("SIGKILL");
    await exit;
  }
});

function run(body = "", env: Record<string, string> = {}): Run {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program(body)], {
    cwd: path.resolve(import.meta.dirname, ".."),
    env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"], HEADWATER_INSTANCE: "edge-7", ...ENV, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (err += text));
  const result: Run = {
    child,
    out: () => out,
    err: () => err,
    ready: new Promise((resolve) => child.once("message", (message: { port: number; adminPort: number }) => resolve(message))),
    // `exit` may come before the last output, and `close` never comes after a `disconnect()` of ours.
    exit: Promise.all([
      new Promise<Exit>((resolve) => child.once("exit", (code, signal) => resolve({ code, signal }))),
      ...[child.stdout, child.stderr].map((stream) => new Promise((resolve) => stream?.once("end", resolve))),
    ]).then(([exit]) => exit),
  };
  running.push(result);
  return result;
}

describe("a service process", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("drains on %s and exits 0", async (signal) => {
    const service = run();
    const { port, adminPort } = await service.ready;
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${adminPort}/health/ready`)).status).toBe(200);
    service.child.kill(signal);
    expect(await service.exit).toEqual({ code: 0, signal: null });
    expect(service.out()).toBe("edge-7\nstopped\n");
  });
  it("has its compiled code stored as soon as it is ready: a crash comes without a goodbye", async () => {
    const cache = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-compile-"));
    try {
      const service = run("", { NODE_COMPILE_CACHE: cache });
      const { port } = await service.ready;
      // Answered in a later turn than the one that said ready.
      await fetch(`http://127.0.0.1:${port}/health`);
      const stored = fs.readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      expect(stored.length).toBeGreaterThan(10);
      service.child.kill("SIGKILL");
      expect(await service.exit).toEqual({ code: null, signal: "SIGKILL" });
    } finally {
      fs.rmSync(cache, { recursive: true, force: true });
    }
  });
  it("drains when the process that started it is gone", async () => {
    const service = run();
    await service.ready;
    service.child.disconnect();
    expect(await service.exit).toEqual({ code: 0, signal: null });
    expect(service.out()).toContain("stopped");
  });
  it("names every bad setting and exits 1, without starting", async () => {
    const service = run("", { KEY_PEPPER: "short", LOG_LEVEL: "loud" });
    expect(await service.exit).toEqual({ code: 1, signal: null });
    expect(service.err()).toContain("KEY_PEPPER");
    expect(service.err()).toContain("LOG_LEVEL");
    expect(service.err()).not.toContain("short\n");
    expect(service.out()).toBe("");
  });
  it("names a bad setting of its own in the same way", async () => {
    const service = run("", { BAD: "1" });
    expect((await service.exit).code).toBe(1);
    expect(service.err()).toContain("BAD: is not wanted");
  });
  it("exits 1 when the start fails, and says why", async () => {
    const service = run('throw new Error("no broker");');
    expect((await service.exit).code).toBe(1);
    expect(service.err()).toContain("service.start_failed");
    expect(service.err()).toContain("no broker");
  });
  it("exits 1 when the drain fails", async () => {
    const service = run('stop = async () => { throw new Error("cannot flush"); };');
    await service.ready;
    service.child.kill("SIGTERM");
    expect((await service.exit).code).toBe(1);
    expect(service.err()).toContain("cannot flush");
  });
  it("exits 2 when the drain is over its budget", async () => {
    const service = run("stop = () => new Promise(() => setInterval(() => {}, 1000));", { DRAIN_TIMEOUT_MS: "100" });
    await service.ready;
    service.child.kill("SIGTERM");
    expect((await service.exit).code).toBe(2);
    expect(service.err()).toContain("service.drain_overdue");
  });
});

it("lets other processes go first only when told to", async () => {
  const [usual, giving] = [run(), run("", { GIVES_WAY: "1" })];
  await Promise.all([usual.ready, giving.ready]);
  expect(getPriority(usual.child.pid)).toBe(getPriority());
  expect(getPriority(giving.child.pid)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
});

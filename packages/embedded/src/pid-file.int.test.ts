/** Claiming a data directory, with real processes: second supervisors, orphans of a killed one, reused pids. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { endWithParent } from "./end-with-parent.ts";
import { claimDataDir } from "./pid-file.ts";

let dir: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-pids-"));
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = exited(child);
    child.kill("SIGKILL");
    await gone;
  }
  fs.rmSync(dir, { recursive: true, force: true });
});

function exited(child: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
}

async function run(code = ""): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(process.execPath, ["-e", `${code}; setInterval(() => {}, 1000); process.stdout.write("up")`], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  });
  started.push(child);
  endWithParent(child);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  if (child.pid === undefined) throw new Error("did not start");
  return { child, pid: child.pid };
}

const stored = (): { name: string; pid: number; startedAt: string }[] => JSON.parse(fs.readFileSync(path.join(dir, "pids.json"), "utf8"));

describe("a data directory", () => {
  it("remembers who runs on it, for its owner's eyes only", async () => {
    const file = await claimDataDir(dir);
    const { pid } = await run();
    file.set("nats-server", pid);
    expect(stored().map((entry) => [entry.name, entry.pid])).toEqual([
      ["supervisor", process.pid],
      ["nats-server", pid],
    ]);
    expect(fs.statSync(path.join(dir, "pids.json")).mode & 0o777).toBe(0o600);
    file.set("nats-server", undefined);
    expect(stored().map((entry) => entry.name)).toEqual(["supervisor"]);
    file.release();
    expect(fs.readdirSync(dir)).toEqual([]);
  });

  it("is refused while another supervisor lives, and free when it is gone", async () => {
    const { child, pid } = await run();
    await claimDataDir(dir, pid);
    await expect(claimDataDir(dir)).rejects.toThrow(new RegExp(`in use by a running Headwater \\(pid ${pid}\\)`));
    const gone = exited(child);
    child.kill("SIGKILL");
    await gone;
    expect((await claimDataDir(dir)).reaped).toEqual([]);
  });

  it("may be claimed again by the same process", async () => {
    await claimDataDir(dir);
    expect((await claimDataDir(dir)).reaped).toEqual([]);
  });
});

describe("children of a killed supervisor", () => {
  it("are ended in reverse order, PostgreSQL by its fast shutdown", async () => {
    const supervisor = await run();
    const file = await claimDataDir(dir, supervisor.pid);
    const postgres = await run('process.on("SIGINT", () => process.exit(7))');
    const nats = await run('process.on("SIGTERM", () => process.exit(8))');
    file.set("postgres", postgres.pid);
    file.set("nats-server", nats.pid);
    const gone = exited(supervisor.child);
    supervisor.child.kill("SIGKILL");
    await gone;
    expect((await claimDataDir(dir)).reaped).toEqual(["nats-server", "postgres"]);
    await Promise.all([postgres, nats].map(({ child }) => child.exitCode ?? exited(child)));
    expect(postgres.child.exitCode).toBe(7);
    expect(nats.child.exitCode).toBe(8);
    expect(stored().map((entry) => entry.name)).toEqual(["supervisor"]);
  });

  it("that ended by themselves are not looked for", async () => {
    const supervisor = await run();
    const file = await claimDataDir(dir, supervisor.pid);
    const nats = await run();
    file.set("nats-server", nats.pid);
    for (const { child } of [nats, supervisor]) {
      const gone = exited(child);
      child.kill("SIGKILL");
      await gone;
    }
    expect((await claimDataDir(dir)).reaped).toEqual([]);
  });

  it("a stranger with a reused pid is left alone, as child and as supervisor", async () => {
    const stranger = await run();
    const entries = ["supervisor", "nats-server"].map((name) => ({ name, pid: stranger.pid, startedAt: "1" }));
    fs.writeFileSync(path.join(dir, "pids.json"), JSON.stringify(entries));
    expect((await claimDataDir(dir)).reaped).toEqual([]);
    expect(stranger.child.exitCode).toBeNull();
    expect(stranger.child.signalCode).toBeNull();
  });
});

describe("a damaged file", () => {
  it.each(["", "{", "null", "7", '{"a":1}', "[null]", "[1]", '[{"name":"x"}]', '[{"name":"nats-server","pid":"1","startedAt":"x"}]'])(
    "%j reads as nobody",
    async (text) => {
      fs.writeFileSync(path.join(dir, "pids.json"), text);
      expect((await claimDataDir(dir)).reaped).toEqual([]);
      expect(stored()).toHaveLength(1);
    },
  );
});

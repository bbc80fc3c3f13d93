/** The supervisor with real small children: ready signs, failed starts, restarts, stops. Waits for lines, exits and pids, never for time. */
import { afterEach, describe, expect, it } from "vitest";
import { type Child, type ChildOptions, startChild } from "./child-process.ts";

const READY = 'process.stderr.write("almost\\nI am ready\\n");';
const FOREVER = "setInterval(() => {}, 1000);";
const STUBBORN = 'process.on("SIGTERM", () => process.stdout.write("heard\\n"));';

const children: Child[] = [];
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
});

function start(code: string, options: Partial<ChildOptions> = {}): Promise<Child> {
  return startChild({
    name: "small",
    command: process.execPath,
    args: ["-e", code],
    env: { PATH: process.env["PATH"] },
    readyLine: /I am ready/,
    readyWithinMs: 20_000,
    stopSignal: "SIGTERM",
    stopWithinMs: 5_000,
    ...options,
  }).then((child) => {
    children.push(child);
    return child;
  });
}

function pidOf(child: Child): number {
  if (child.pid === undefined) throw new Error("no process");
  return child.pid;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Collects calls and lets a test wait for the next one. */
function inbox<T>(): { push: (item: T) => void; next: () => Promise<T> } {
  const items: T[] = [];
  let wake: (() => void) | undefined;
  return {
    push: (item) => {
      items.push(item);
      wake?.();
    },
    next: async () => {
      while (items.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const [first] = items.splice(0, 1);
      // The loop above ends only with an item there.
      return first as T;
    },
  };
}

describe("a first start", () => {
  it("is done when the ready line was written, and passes every line on", async () => {
    const lines: string[] = [];
    const child = await start(READY + FOREVER, { onLine: (line) => lines.push(line) });
    expect(child.state).toBe("ready");
    expect(isAlive(pidOf(child))).toBe(true);
    expect(lines).toEqual(["almost", "I am ready"]);
  });
  it("is done when the child says so over IPC", async () => {
    const messages = inbox<unknown>();
    const child = await start(`process.send({ ready: true, port: 7 }); process.on("message", () => {});`, {
      ipc: true,
      onMessage: messages.push,
    });
    expect(child.state).toBe("ready");
    expect(await messages.next()).toEqual({ ready: true, port: 7 });
  });
  it("that ends early fails with what the child said", async () => {
    await expect(start('console.error("no such config"); process.exitCode = 3;', { restartDelayMs: () => 1 })).rejects.toThrow(
      /small exited \(3\) before it was ready: no such config/,
    );
  });
  it("that takes too long fails, and leaves nothing behind", async () => {
    const pids: (number | undefined)[] = [];
    const exits = inbox<{ signal: string | null }>();
    const late = start(FOREVER, { readyWithinMs: 300, onPid: (pid) => pids.push(pid), onExit: exits.push });
    await expect(late).rejects.toThrow(/not ready within 300 ms/);
    expect((await exits.next()).signal).toBe("SIGKILL");
    expect(pids.at(-1)).toBeUndefined();
    expect(isAlive(pids[0] ?? 0)).toBe(false);
  });
  it("of a program that does not exist fails", async () => {
    await expect(start("", { command: "/does/not/exist" })).rejects.toThrow(/ENOENT/);
  });
});

describe("a child that dies", () => {
  it("is started again with a new pid, and the delay is asked for", async () => {
    const exits = inbox<{ restarting: boolean }>();
    const ready = inbox<string>();
    const attempts: number[] = [];
    const child = await start(READY + FOREVER, {
      onExit: exits.push,
      onLine: (line) => line.includes("ready") && ready.push(line),
      restartDelayMs: (attempt) => {
        attempts.push(attempt);
        return 1;
      },
    });
    await ready.next();
    const first = pidOf(child);
    process.kill(first, "SIGKILL");
    expect((await exits.next()).restarting).toBe(true);
    await ready.next();
    expect(child.state).toBe("ready");
    expect(child.restarts).toBe(1);
    expect(pidOf(child)).not.toBe(first);
    expect(attempts).toEqual([1]);
  });
  it("stays down when no restart is wanted", async () => {
    const exits = inbox<{ restarting: boolean }>();
    const child = await start(READY + FOREVER, { onExit: exits.push });
    process.kill(pidOf(child), "SIGKILL");
    expect((await exits.next()).restarting).toBe(false);
    expect(child.state).toBe("stopped");
  });
});

describe("stop", () => {
  it("ends the child by its signal and does not restart it", async () => {
    const exits = inbox<{ code: number | null; signal: string | null; restarting: boolean }>();
    const child = await start(`process.on("SIGTERM", () => process.exit(0)); ${READY}${FOREVER}`, {
      onExit: exits.push,
      restartDelayMs: () => 1,
    });
    const pid = pidOf(child);
    await child.stop();
    expect(await exits.next()).toMatchObject({ code: 0, restarting: false });
    expect(isAlive(pid)).toBe(false);
    expect(child.state).toBe("stopped");
    await child.stop();
  });
  it("kills one that does not listen, after its time", async () => {
    const heard = inbox<string>();
    const exits = inbox<{ signal: string | null }>();
    const child = await start(STUBBORN + READY + FOREVER, {
      stopWithinMs: 300,
      onExit: exits.push,
      onLine: (line) => line === "heard" && heard.push(line),
    });
    await child.stop();
    await heard.next();
    expect((await exits.next()).signal).toBe("SIGKILL");
  });
  it("wins over a restart that is due", async () => {
    const exits = inbox<unknown>();
    const pids: (number | undefined)[] = [];
    const child = await start(READY + FOREVER, {
      onExit: exits.push,
      onPid: (pid) => pids.push(pid),
      restartDelayMs: () => 60_000,
    });
    process.kill(pidOf(child), "SIGKILL");
    await exits.next();
    expect(child.state).toBe("restarting");
    await child.stop();
    expect(child.state).toBe("stopped");
    expect(pids).toHaveLength(2);
  });
});

/** Ways to run it: TLS, per service, external NATS and PostgreSQL, after a supervisor that was killed, twice at once. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import { parseOptions, type Standalone, startStandalone } from "@headwater/standalone";
import { makeTempDir, startNats, startPostgres, until } from "@headwater/testkit";
import { afterEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { openFeed } from "../support/feed-client.ts";
import { npmStart } from "../support/npm-start.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
}, 60_000);

function dataDir(): string {
  const temp = makeTempDir("headwater-run");
  closers.push(() => temp.remove());
  return temp.dir;
}

async function start(args: string[], env: Record<string, string> = {}): Promise<Standalone> {
  const dir = dataDir();
  const system = await startStandalone(parseOptions(["--port", "0", "--no-demo", "--data-dir", dir, ...args], env, dir), {
    ...process.env,
    ...env,
  });
  closers.push(() => system.stop());
  return system;
}

async function makeKey(system: Standalone, url = system.url): Promise<string> {
  const answer = await fetch(`${url}/admin/v1/keys`, {
    method: "POST",
    headers: { Authorization: `Bearer ${system.adminToken}`, "Content-Type": "application/json" },
    body: JSON.stringify({ tenant: "acme", plan: "scale", scopes: ["events:write", "signals:read"] }),
  });
  return ((await answer.json()) as { key: string }).key;
}

const batch = (visitorId: string): string =>
  JSON.stringify({
    events: [
      {
        type: "pageview",
        visitorId,
        sessionId: "s",
        timestamp: Date.now(),
        page: { path: "/", url: "", title: "" },
        device: { userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" },
      },
    ],
  });

async function roundTrip(system: Standalone, visitorId = "vis_1"): Promise<void> {
  const key = await makeKey(system);
  const feed = await openFeed(`${system.url.replace("http", "ws")}/v1/signals/stream?key=${key}`);
  await feed.frame("hello", (frame) => frame.type === "hello");
  const posted = await fetch(`${system.url}/v1/events`, {
    method: "POST",
    headers: { "X-API-Key": key, "Content-Type": "application/json" },
    body: batch(visitorId),
  });
  expect(posted.status).toBe(202);
  await feed.frame("the event", (frame) => frame["visitorId"] === visitorId);
  feed.close();
}

it("runs on an external NATS and PostgreSQL and touches no embedded one", async () => {
  const [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  closers.push(() => Promise.all([nats.stop(), postgres.stop()]));
  const dir = dataDir();
  const env = { NATS_URL: nats.url, DATABASE_URL: postgres.url };
  const system = await startStandalone(parseOptions(["--port", "0", "--no-demo", "--data-dir", dir], env, dir), { ...process.env, ...env });
  closers.push(() => system.stop());
  await roundTrip(system);
  expect(fs.readdirSync(dir).toSorted()).toEqual(["pids.json", "secrets.json"]);
}, 90_000);

it.each([["in one process"], ["per service", "--per-service"]])(
  "speaks TLS %s",
  async (_name, ...args) => {
    const fixtures = path.join(import.meta.dirname, "fixtures");
    const ca = fs.readFileSync(path.join(fixtures, "localhost.crt"), "utf8");
    const system = await start(args, { TLS_CERT: path.join(fixtures, "localhost.crt"), TLS_KEY: path.join(fixtures, "localhost.key") });
    expect(system.url).toMatch(/^https:/);
    const request = (
      method: string,
      target: string,
      headers: Record<string, string>,
      body = "",
    ): Promise<{ status: number; text: string; cookies: string[] }> =>
      new Promise((resolve, reject) => {
        const req = https.request(system.url + target, { method, headers, ca }, (res) => {
          let text = "";
          res.on("data", (chunk) => (text += String(chunk)));
          res.on("end", () => resolve({ status: res.statusCode ?? 0, text, cookies: res.headers["set-cookie"] ?? [] }));
        });
        req.on("error", reject);
        req.end(body);
      });
    const made = await request(
      "POST",
      "/admin/v1/keys",
      { Authorization: `Bearer ${system.adminToken}`, "Content-Type": "application/json" },
      JSON.stringify({ tenant: "acme", plan: "scale", scopes: ["events:write", "signals:read"] }),
    );
    const { key } = JSON.parse(made.text) as { key: string };
    const socket = new WebSocket(`${system.url.replace("https", "wss")}/v1/signals/stream`, ["clickstream-v1", key], { ca });
    closers.push(() => socket.terminate());
    const frames: Record<string, unknown>[] = [];
    socket.on("message", (data) => frames.push(JSON.parse(data.toString()) as Record<string, unknown>));
    await until("hello over wss", () => frames[0]?.["type"] === "hello");
    expect(socket.protocol).toBe("clickstream-v1");
    const posted = await request("POST", "/v1/events", { "X-API-Key": key, "Content-Type": "application/json" }, batch("vis_tls"));
    expect(posted.status).toBe(202);
    // The cookie knows that the visitor came by https, also behind the front.
    expect(posted.cookies.join()).toMatch(/_cs_uid=.*Secure/);
    await until("the event over wss", () => frames.some((frame) => frame["visitorId"] === "vis_tls"));
  },
  120_000,
);

it("a supervisor that is killed takes its services and servers with it", async () => {
  const dir = dataDir();
  const system = await npmStart(["--port", "0", "--no-demo", "--per-service", "--data-dir", dir]);
  const pids = pidsIn(dir);
  expect(pids.size).toBe(9);
  process.kill(pids.get("supervisor") ?? 0, "SIGKILL");
  await system.exited;
  for (const [name, pid] of pids) await until(`${name} is gone`, () => !exists(pid), 30_000);
}, 120_000);

it("starts after a supervisor that was killed, ends its orphans, keeps the data; refuses a second one", async () => {
  const dir = dataDir();
  const first = await npmStart(["--port", "0", "--data-dir", dir]);
  const key = /read key\s+(\w+)/.exec(first.output())?.[1] ?? "";
  const pids = pidsIn(dir);
  const pidOf = (name: string): number => pids.get(name) ?? 0;

  await expect(npmStart(["--port", "0", "--data-dir", dir])).rejects.toThrow(/in use by a running Headwater/);

  // Who kills it may kill what watches it, too.
  for (const watch of watchesOf(pidOf("supervisor"))) process.kill(watch, "SIGKILL");
  process.kill(pidOf("supervisor"), "SIGKILL");
  await first.exited;
  // Only the supervisor died: its children are orphans now.
  for (const name of ["nats-server", "postgres"]) expect(exists(pidOf(name)), name).toBe(true);
  const second = await npmStart(["--port", "0", "--data-dir", dir]);
  closers.push(() => second.stop());
  // Ended before the second one was ready; init may take its time to collect what is left of them.
  for (const name of ["nats-server", "postgres"]) await until(`${name} is gone`, () => !exists(pidOf(name)));
  expect(/read key\s+(\w+)/.exec(second.output())?.[1]).toBe(key);
  const feed = await openFeed(`${second.url.replace("http", "ws")}/v1/signals/stream?key=${key}&since=-1h`);
  await feed.frame("an event from before or now", (frame) => frame.type === "event");
  feed.close();
}, 120_000);

it.each([
  ["an unknown option", ["--frobnicate"], {}],
  ["a port that is none", ["--port", "x"], {}],
  ["plain HTTP for the world", [], { BACKEND_HOST: "0.0.0.0" }],
])("refuses %s with exit code 2 and the usage", (_name, args, env) => {
  const done = spawnSync(process.execPath, ["packages/standalone/src/main.ts", ...args], {
    cwd: path.resolve(import.meta.dirname, "../.."),
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  expect(done.status).toBe(2);
  expect(done.stderr).toContain("npm start -- [options]");
});

/** Of the running system on a data directory, by name. */
function pidsIn(dir: string): Map<string, number> {
  // Replaced by rename, so it is whole whenever it can be read.
  const entries = JSON.parse(fs.readFileSync(path.join(dir, "pids.json"), "utf8")) as { name: string; pid: number }[];
  return new Map(entries.map(({ name, pid }) => [name, pid]));
}

/** The processes that end the children of `pid` when it is gone. */
function watchesOf(pid: number): number[] {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const watches = stdout.split("\n").flatMap((line) => {
    const [, child, parent] = /^\s*(\d+)\s+(\d+) .*end-with-parent/.exec(line) ?? [];
    return Number(parent) === pid ? [Number(child)] : [];
  });
  if (watches.length === 0) throw new Error(`nobody watches ${pid}`);
  return watches;
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

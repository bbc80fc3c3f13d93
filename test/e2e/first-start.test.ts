/** The newcomer's five minutes, through the commands and documents a newcomer has. */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { endWithParent, makeTempDir } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { busyFactor } from "../fault/support/bar.ts";
import { openFeed } from "../support/feed-client.ts";
import { npmStart, projectRoot, type StartedSystem } from "../support/npm-start.ts";

const temp = makeTempDir("headwater-e2e");
let system: StartedSystem;
const key = (name: string): string => new RegExp(`${name} key\\s+(cs_live_\\w+)`).exec(system.output())?.[1] ?? "";
const headwater = (...args: string[]) =>
  spawnSync(process.execPath, ["packages/cli/bin/headwater.mjs", ...args, "--port", String(system.port)], {
    cwd: projectRoot,
    encoding: "utf8",
    timeout: 30_000,
  });

/** The first complete lines of a program that goes on. */
function linesOf(child: { stdout: NodeJS.ReadableStream }, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    let out = "";
    child.stdout.on("data", (chunk) => {
      out += String(chunk);
      const complete = out.split("\n").slice(0, -1);
      if (complete.length >= count) resolve(complete);
    });
  });
}

beforeAll(async () => {
  system = await npmStart(["--port", "0", "--data-dir", temp.dir]);
}, 120_000);
afterAll(async () => {
  await system?.stop();
  temp.remove();
}, 60_000);

it("shows demo traffic on the feed and answers the two documented health checks", async () => {
  const feed = await openFeed(`${system.url.replace("http", "ws")}/signals/stream?key=${key("read")}`);
  const hello = await feed.frame("hello", (frame) => frame.type === "hello");
  expect(hello["message"]).toBe("Signals Feed connected");
  const event = await feed.frame("an event of the demo", (frame) => frame.type === "event");
  expect(Object.keys(event)).toEqual([
    "type",
    "ts",
    "visitorId",
    "sessionId",
    "eventType",
    "page",
    "bot",
    "behavioralClass",
    "device",
    "scores",
    "hasIdentified",
  ]);
  feed.close();
  const hint = await fetch(`${system.url}/signals/stream?key=${key("read")}`);
  expect(hint.status).toBe(426);
  expect(await hint.text()).toBe('{"error":"upgrade_required","message":"WebSocket upgrade required at /v1/signals/stream"}');
  // fetch may not send an Upgrade header; curl is what the document uses.
  const gate = spawnSync("curl", ["-sS", "-i", "-H", "Upgrade: websocket", `${system.url}/signals/stream?key=${key("free")}`], {
    encoding: "utf8",
  });
  if (gate.error === undefined) {
    expect(gate.stdout).toContain("403");
    expect(gate.stdout).toContain('{"error":"plan_upgrade_required","currentPlan":"free"');
  }
});

it("delivers the printed curl's event to a subscriber within a second", async () => {
  const feed = await openFeed(`${system.url.replace("http", "ws")}/v1/signals/stream`, { headers: { "X-API-Key": key("read") } });
  await feed.frame("hello", (frame) => frame.type === "hello");
  const command = /curl -sS .*\\\n\s+-d '.*'/.exec(system.output())?.[0] ?? "";
  const posted = spawnSync("sh", ["-c", command.replace("\\\n", " ")], { encoding: "utf8" });
  expect(posted.stdout).toContain('"accepted":1');
  const event = await feed.frame("the posted event", (frame) => frame["visitorId"] === "vis_you", 1_000);
  expect(event).toMatchObject({ eventType: "pageview", page: "/pricing", behavioralClass: "human" });
  feed.close();
});

it("runs the document's example subscriber, unchanged but for scheme and host", async () => {
  const text = fs.readFileSync(path.join(projectRoot, "docs/examples/signals-feed-subscriber/subscribe.mjs"), "utf8");
  const file = path.join(temp.dir, "subscribe.mjs");
  fs.writeFileSync(file, text.replace("ws://127.0.0.1:7210", system.url.replace("http", "ws")));
  const child = spawn(process.execPath, [file], { env: { ...process.env, CS_API_KEY: key("read") }, stdio: ["ignore", "pipe", "ignore"] });
  endWithParent(child);
  const lines = await linesOf(child, 3);
  child.kill("SIGTERM");
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ type: "event" });
});

/** What the start printed about the demo's feeds. */
const demo = () => ({
  login: /demo login\s+(\S+) (\S+)/.exec(system.output())?.slice(1) ?? [],
  feeds: [...system.output().matchAll(/^ {2}feed\s+([0-9a-f]{24}) (\w+) \(topics like (\S+)\)$/gm)].map(([, id = "", name, topic = ""]) => ({ id, name, topic })),
}); // biome-ignore format: one line each

it("shows a topic of each recorded feed with the printed command", async () => {
  const { feeds } = demo();
  expect(feeds.map(({ name }) => name)).toEqual(["coinbase", "kraken"]);
  const printed = /TS_API_KEY=\S+ HEADWATER_URL=\S+ \\\n\s+node docs\S+ [0-9a-f]{24} \S+/.exec(system.output())?.[0] ?? "";
  const [first] = feeds;
  for (const { id, topic } of feeds) {
    const command = printed.replace("\\\n", " ").replace(`${first?.id} ${first?.topic}`, `${id} ${topic}`);
    const child = spawn("sh", ["-c", `exec env ${command}`], {
      cwd: projectRoot,
      env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env["PATH"]}` },
      stdio: ["ignore", "pipe", "ignore"],
    });
    endWithParent(child);
    const [line] = await linesOf(child, 1);
    child.kill("SIGTERM");
    expect(JSON.parse(line ?? "")).toMatchObject({ feedId: id, topic, data: expect.anything() });
  }
});

it("lets the printed demo login in, and shows the feeds to anybody", async () => {
  const [email, password] = demo().login;
  const login = await fetch(`${system.url}/api/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  expect([login.status, await login.json()]).toMatchObject([200, { message: "Login successful" }]);
  const list = (await (await fetch(`${system.url}/api/marketplace/feeds`)).json()) as { data: { _id: string }[] };
  expect(list.data.map((feed) => feed._id).toSorted()).toEqual(demo().feeds.map(({ id }) => id).toSorted()); // biome-ignore format: one line
});

it("is operated by the headwater command", () => {
  const made = headwater("keys", "create", "--tenant", "acme", "--plan", "scale", "--scopes", "signals:read,events:write", "--json");
  expect(made.stderr).toBe("");
  expect(made.status).toBe(0);
  const created = JSON.parse(made.stdout) as { key: string; id: string };
  expect(created.key).toMatch(/^(cs|hw)_/);
  const status = headwater("status", "--json");
  expect(status.status).toBe(0);
  for (const service of ["auth", "ingest", "scoring", "routing", "intelligence", "edge"]) expect(status.stdout).toContain(`"${service}`);
  expect(headwater("keys", "revoke", "--key", created.id).status).toBe(0);
  expect(headwater("keys", "frobnicate").status).toBe(2);
});

it("leaves nothing running after Ctrl-C and keeps its data", async () => {
  const read = key("read");
  const { feeds } = demo();
  const pids = (JSON.parse(fs.readFileSync(path.join(temp.dir, "pids.json"), "utf8")) as { pid: number }[]).map((entry) => entry.pid);
  expect(pids.length).toBeGreaterThanOrEqual(3);
  expect(await system.stop("SIGINT")).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  const started = performance.now();
  system = await npmStart(["--port", String(system.port), "--data-dir", temp.dir]);
  expect(key("read")).toBe(read);
  expect(demo().feeds).toEqual(feeds);
  expect(performance.now() - started).toBeLessThan(20_000 * busyFactor());
}, 60_000);

/** The operator's commands against the whole system, started as a user starts them: through the launcher, on the same host. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { endWithParent, makeTempDir } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { npmStart, projectRoot, type StartedSystem } from "../support/npm-start.ts";

const temp = makeTempDir("headwater-operator");
let system: StartedSystem;
const launcher = "packages/cli/bin/headwater.mjs";
const options = (): { cwd: string; env: NodeJS.ProcessEnv } => ({
  cwd: projectRoot,
  env: { ...process.env, BACKEND_PORT: String(system.port) },
});
const run = (...args: string[]) => spawnSync(process.execPath, [launcher, ...args], { ...options(), encoding: "utf8", timeout: 60_000 });
/** A command that goes on; `line` resolves with the first line of its output. */
function follow(...args: string[]): {
  child: ChildProcess;
  line: Promise<string>;
  ended: Promise<{ code: number | null; errors: string }>;
} {
  const child = spawn(process.execPath, [launcher, ...args], { ...options(), stdio: ["ignore", "pipe", "pipe"] });
  endWithParent(child, { signal: "SIGTERM", withinMs: 5_000 });
  let out = "";
  let errors = "";
  const line = new Promise<string>((resolve) =>
    child.stdout.on("data", (chunk) => {
      out += String(chunk);
      if (out.includes("\n")) resolve(out.slice(0, out.indexOf("\n")));
    }),
  );
  child.stderr.on("data", (chunk) => (errors += String(chunk)));
  return { child, line, ended: new Promise((resolve) => child.on("exit", (code) => resolve({ code, errors }))) };
}
const jsonOf = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

beforeAll(async () => {
  system = await npmStart(["--port", "0", "--data-dir", temp.dir]);
}, 120_000);
afterAll(async () => {
  await system?.stop();
  temp.remove();
}, 60_000);

it("taps what flows, stored and live", async () => {
  const live = follow("tap", "signals", "--tenant", "demo", "--follow", "--json");
  const event = jsonOf(await live.line);
  expect(event).toMatchObject({ kind: "labeled", tenant: "demo", body: { type: "event" } });
  live.child.kill("SIGINT");
  expect((await live.ended).code).toBe(0);
  const stored = run("tap", "signals", "--since", "5m", "--visitor", String(event["visitorId"]), "--limit", "1", "--json");
  expect([stored.status, stored.stderr]).toEqual([0, ""]);
  expect(jsonOf(stored.stdout)["visitorId"]).toBe(event["visitorId"]);
  const registry = run("tap", "registry.tenant.*", "--since", "1h");
  expect(registry.stdout).toContain("tenant.created");
});

it("ends a live subscription whose key is revoked, within five seconds", async () => {
  const made = jsonOf(run("keys", "create", "--tenant", "demo", "--scopes", "signals:read", "--type", "server", "--json").stdout);
  const feed = follow("feed", "--key", String(made["key"]));
  expect(jsonOf(await feed.line)["type"]).toBe("event");
  expect(run("keys", "revoke", "--key", String(made["key"])).status).toBe(0);
  // From the answer on: how long the command takes to start is not the system's time.
  const begin = performance.now();
  const end = await feed.ended;
  expect(end.code).toBe(1);
  expect(end.errors).toContain("4003 access_revoked");
  expect(performance.now() - begin).toBeLessThan(5_000);
  const again = run("feed", "--key", String(made["key"]));
  expect([again.status, again.stderr]).toEqual([1, "headwater: the feed ended: invalid_api_key: Unknown or revoked API key\n"]);
});

it("says that all is well, and that every lane's state is what its log says", () => {
  const doctor = jsonOf(run("doctor", "--json").stdout);
  expect((doctor["findings"] as { level: string }[]).filter((finding) => finding.level === "fail")).toEqual([]);
  const status = run("status", "--json");
  expect([status.status, jsonOf(status.stdout)["status"]]).toEqual([0, "up"]);
  const lanes = Object.groupBy(jsonOf(status.stdout)["lanes"] as { family: string; lane: number }[], (lane) => lane.family);
  // Every lane of every family has one owner.
  for (const family of ["visits", "feeds", "analyses"]) expect(lanes[family]?.map(({ lane }) => lane)).toEqual([...Array(16).keys()]);
  const replay = run("replay", "visits", "--json");
  expect((jsonOf(replay.stdout)["lanes"] as { verdict: string }[]).map((lane) => lane.verdict)).toEqual(Array(16).fill("equal"));
  expect(run("rebuild", "registry").stdout).toBe("0 facts were missing and are told again\n");
});

it("changes a plan, and the gate opens for a key that exists", () => {
  const made = jsonOf(
    run("keys", "create", "--tenant", "small", "--plan", "free", "--scopes", "signals:read,events:write", "--json").stdout,
  );
  const key = String(made["key"]);
  expect(run("feed", "--key", key).stderr).toContain("plan_upgrade_required");
  expect(run("tenants", "set-plan", "--tenant", "small", "--plan", "scale").status).toBe(0);
  const event = {
    type: "pageview", visitorId: "vis_small", sessionId: "sess_1", timestamp: Date.now(),
    page: { url: "https://shop.example/", path: "/" }, device: { userAgent: "Mozilla/5.0 (X11; Linux x64) Firefox/140.0", viewport: { width: 1280, height: 800 } },
  }; // biome-ignore format: one literal
  const posted = spawnSync(
    "curl",
    [
      "-sS",
      `${system.url}/v1/events`,
      "-H",
      `X-API-Key: ${key}`,
      "-H",
      "Content-Type: application/json",
      "-d",
      JSON.stringify({ events: [event] }),
    ],
    { encoding: "utf8" },
  );
  expect(posted.stdout).toContain('"accepted":1');
  const feed = run("feed", "--key", key, "--since", "1m", "--limit", "1");
  expect([feed.status, jsonOf(feed.stdout)["visitorId"]]).toEqual([0, "vis_small"]);
});

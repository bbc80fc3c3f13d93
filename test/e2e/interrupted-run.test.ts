/** A run of tests that somebody interrupts leaves no server behind: not those of the run, not those of a test. */
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { until } from "@headwater/testkit";
import { afterAll, expect, it } from "vitest";
import { projectRoot } from "../support/npm-start.ts";

const runs: ChildProcess[] = [];
afterAll(() => {
  for (const run of runs) run.kill("SIGKILL");
});

interface Run {
  child: ChildProcess;
  /** The process of the test runner itself. */
  runner: number;
  group: number;
  urls: string[];
}

/** `npm run vitest` in a group of its own, as a terminal runs it; its test waits for ever. */
async function begin(): Promise<Run> {
  const config = "test/e2e/fixtures/interrupted/vitest.config.ts";
  // A run inside a run: what the outer one told its workers is not for the inner one's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(VITEST|TEST)/.test(key)));
  const child = spawn(process.execPath, ["packages/embedded/scripts/run.mjs", "vitest", "--config", config], {
    cwd: projectRoot,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  runs.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += String(text)));
  const told = (): string | undefined => /^waiting (\{.*\})$/m.exec(output)?.[1];
  await until(
    "the test waits",
    () => {
      if (child.exitCode !== null) throw new Error(`the run ended:\n${output}`);
      return told() !== undefined;
    },
    60_000,
  );
  // Written by the test of the run.
  const { runner, urls } = JSON.parse(told() ?? "") as { runner: number; urls: string[] };
  if (child.pid === undefined) throw new Error("no process");
  return { child, runner, group: -child.pid, urls };
}

/** Does anybody listen there? */
function isServed(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

it.each<[string, (run: Run) => unknown]>([
  ["Ctrl-C", ({ group }) => process.kill(group, "SIGINT")],
  ["kill -9 of the runner", ({ runner }) => process.kill(runner, "SIGKILL")],
  ["kill -9 of the bootstrap", ({ child }) => child.kill("SIGKILL")],
])(
  "%s ends every server of the run",
  async (_how, interrupt) => {
    const run = await begin();
    expect(run.urls).toHaveLength(3);
    for (const url of run.urls) expect(await isServed(url), url).toBe(true);
    interrupt(run);
    for (const url of run.urls) await until(`${url} is gone`, async () => !(await isServed(url)), 30_000);
  },
  120_000,
);

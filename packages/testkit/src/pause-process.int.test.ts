/** A process whose every thread computes all the time is stopped when `pauseProcess` says so, and goes on afterwards. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { endWithParent } from "@headwater/embedded";
import { afterEach, expect, it } from "vitest";
import { pauseProcess, threadStates } from "./pause-process.ts";
import { until } from "./until.ts";

const BUSY = `
const { Worker } = require("node:worker_threads");
const turn = "for (;;) {}";
for (let n = 0; n < 4; n++) new Worker(turn, { eval: true }).on("online", () => process.stdout.write("."));
`;

const child = spawn(process.execPath, ["-e", BUSY], { stdio: ["ignore", "pipe", "inherit"] });
endWithParent(child);
afterEach(() => void child.kill("SIGKILL"));

it.runIf(process.platform === "linux")("returns when no thread runs any more", async () => {
  const { pid } = child;
  if (pid === undefined) throw new Error("did not start");
  let online = 0;
  child.stdout.on("data", (dots: Buffer) => (online += dots.length));
  await until("all threads compute", () => online === 4);
  for (let round = 0; round < 20; round++) {
    await pauseProcess(pid);
    expect(new Set(threadStates(pid))).toEqual(new Set(["T"]));
    process.kill(pid, "SIGCONT");
    await until("computes again", () => threadStates(pid).includes("R"));
  }
  child.kill("SIGKILL");
  await once(child, "exit");
});

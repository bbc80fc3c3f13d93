/**
 * Two scorers: a paused owner that wakes up after its lanes were taken over, and crashes at the four places where position, output and
 * snapshot could come apart. The lanes move, nothing is lost or repeated, and the state equals a fold of the log from zero.
 */
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { freePort } from "@headwater/embedded";
import { LANE_COUNT } from "@headwater/protocol";
import { endWithParent, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { projectRoot } from "../support/npm-start.ts";
import { nowUs } from "../support/monotonic.ts";
import { type Product, startProduct } from "../support/product.ts";
import { busyFactor } from "./support/bar.ts";
import { CLEAN, longestFreezeMs, summary } from "./support/checker.ts";
import { reportFault } from "./support/result.ts";
import { startRig } from "./support/rig.ts";
import { faultSettings } from "./support/settings.ts";
import { compareWithRefold } from "./support/state.ts";

const settings = faultSettings(process.env);
/** Longest time from an event's acknowledgement to its delivery while lanes move. */
const TAKE_OVER_MS = 8_000;
const PAUSE_MS = 10_000;
/** Where a scorer dies, and how often it passes that place before. */
const CRASHES = [
  { point: "before_publish", after: 200 },
  { point: "after_publish_before_ack", after: 200 },
  { point: "mid_snapshot", after: 3 },
  { point: "after_take_over", after: 1 },
];
let product: Product;
let key: string;

beforeAll(async () => {
  product = await startProduct({ replicas: "scoring=2" });
  key = await product.createKey({ tenant: "fault", plan: "custom", scopes: ["events:write", "signals:read"], type: "browser" });
});
afterAll(() => product?.stop());

describe(`take-over under load, seed ${settings.seed}`, () => {
  it("7 a scorer paused for 10 s loses its lanes and, once awake, writes nothing", async () => {
    const rig = await startRig(product, { run: "zombie", key, clients: 3, rate: settings.rate });
    try {
      await rig.flowing(90_000);
      await rig.load(1_000);
      const zombie = product.pids().get("scoring-0");
      if (zombie === undefined) throw new Error("scoring-0 is not running");
      process.kill(zombie, "SIGSTOP");
      const pausedUs = nowUs();
      try {
        // The pause itself is the fault; its length is part of the scenario.
        await rig.load(PAUSE_MS);
      } finally {
        process.kill(zombie, "SIGCONT");
      }
      const awakeUs = nowUs();
      await rig.flowing(90_000);
      await rig.load(2_000);
      const { verdict, facts } = await rig.finish();
      const takeOverMs = longestFreezeMs(facts, pausedUs - 1e6, awakeUs);
      reportFault(settings, {
        row: "7 zombie owner",
        kills: 1,
        acked: verdict.acked,
        recoveryMs: [takeOverMs],
        longestDelayMs: verdict.longestDelayMs,
        notes: { pausedMs: Math.round((awakeUs - pausedUs) / 1000) },
      });
      expect(summary(verdict)).toEqual(CLEAN);
      expect(takeOverMs).toBeLessThanOrEqual(TAKE_OVER_MS * busyFactor());
      expect((await compareWithRefold(product)).broken).toEqual([]);
    } finally {
      await rig.stop();
    }
  });

  it("2 scorers that join and die at each crash point", async () => {
    const rig = await startRig(product, { run: "points", key, clients: 2, rate: settings.rate });
    const extras: Extra[] = [];
    try {
      await rig.flowing(90_000);
      const deaths: { point: string; atUs: number }[] = [];
      for (const { point, after } of CRASHES) {
        const extra = await startScorer({ CRASH_AT: point, CRASH_AFTER: String(after), SCORING_SNAPSHOT_INTERVAL_MS: "500" });
        extras.push(extra);
        // A fault that did not fire proves nothing.
        expect(await extra.died, extra.output()).toBe("SIGKILL");
        deaths.push({ point, atUs: nowUs() });
        // One fault at a time: the lanes are taken back before the next scorer gets some of them.
        await until("the lanes of the dead scorer are owned again", async () => (await ownedLanes()).size === LANE_COUNT, 60_000);
        await rig.flowing(90_000);
      }
      await rig.flowing(90_000);
      const { verdict, facts } = await rig.finish();
      const takeOvers = deaths.map(({ atUs }, i) => longestFreezeMs(facts, atUs - 2e6, (deaths[i + 1]?.atUs ?? nowUs()) - 2e6));
      reportFault(settings, {
        row: "2 crash points",
        kills: deaths.length,
        acked: verdict.acked,
        recoveryMs: takeOvers,
        longestDelayMs: verdict.longestDelayMs,
        notes: { points: deaths.map(({ point }) => point) },
      });
      expect(summary(verdict)).toEqual(CLEAN);
      expect((await compareWithRefold(product)).broken).toEqual([]);
      expect(verdict.longestDelayMs).toBeLessThanOrEqual(TAKE_OVER_MS * busyFactor());
    } finally {
      for (const extra of extras) extra.kill();
      await rig.stop();
    }
  });
});

/** Lanes that one of the supervised scorers owns, by their own account. */
async function ownedLanes(): Promise<Set<string>> {
  const lanes = new Set<string>();
  for (const instance of ["scoring-0", "scoring-1"]) {
    const answer = await fetch(`http://127.0.0.1:${product.run.adminPorts[instance]}/metrics`);
    for (const [, lane = ""] of (await answer.text()).matchAll(/^headwater_lane_keys\{[^}]*lane="(\d+)"/gm)) lanes.add(lane);
  }
  return lanes;
}

interface Extra {
  died: Promise<NodeJS.Signals | null>;
  output(): string;
  kill(): void;
}

/** A third scorer, outside the supervisor, so that it is not restarted with the same crash again. */
async function startScorer(crash: Record<string, string>): Promise<Extra> {
  const child: ChildProcess = spawn(process.execPath, [path.join(projectRoot, "services/scoring/src/main.ts")], {
    cwd: projectRoot,
    env: {
      ...product.environment("scoring-0"),
      HEADWATER_INSTANCE: `scoring-${crash["CRASH_AT"]?.replaceAll("_", "-")}`,
      HTTP_PORT: String(await freePort()),
      ADMIN_PORT: String(await freePort()),
      // The supervisor's channel is not ours.
      NODE_CHANNEL_FD: "",
      ...crash,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  endWithParent(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (text = (text + String(chunk)).slice(-8_000)));
  return {
    died: new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal))),
    output: () => text,
    kill: () => void child.kill("SIGKILL"),
  };
}

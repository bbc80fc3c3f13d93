/**
 * SIGKILL of each process under load: collector, scorer, edge, broker, database. Every acknowledged event reaches every subscriber once, in
 * its visitor's order, and output is back within seconds. Judged by an independent ledger (support/checker.ts).
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Product, startProduct } from "../support/product.ts";
import { busyFactor } from "./support/bar.ts";
import { CLEAN, longestFreezeMs, recoveryMs, summary } from "./support/checker.ts";
import { killNow, replaced } from "./support/kill.ts";
import { reportFault } from "./support/result.ts";
import { type Rig, type RigOptions, startRig } from "./support/rig.ts";
import { faultSettings } from "./support/settings.ts";
import { compareWithRefold } from "./support/state.ts";

const settings = faultSettings(process.env);
const RECOVERY_MS = 3_000;
let product: Product;
let key: string;

beforeAll(async () => {
  product = await startProduct();
  key = await product.createKey({ tenant: "fault", plan: "custom", scopes: ["events:write", "signals:read"], type: "browser" });
  await product.raiseLimits("fault", "custom", { feedConnections: 300 });
});
afterAll(() => product?.stop());

interface Row {
  row: string;
  target: string;
  clients: number;
  rate?: number;
  /** Longest pause of output that is acceptable, ms. */
  withinMs: number;
}

const ROWS: Row[] = [
  { row: "1 kill -9 collector", target: "ingest-0", clients: 3, withinMs: RECOVERY_MS },
  { row: "2 kill -9 scorer", target: "scoring-0", clients: 3, withinMs: RECOVERY_MS },
  { row: "3 kill -9 edge, 200 subscribers", target: "edge-0", clients: 200, rate: 50, withinMs: RECOVERY_MS },
  { row: "4 kill -9 nats-server", target: "nats-server", clients: 3, withinMs: RECOVERY_MS },
  { row: "5 kill -9 postgres", target: "postgres", clients: 3, withinMs: 1_000 },
];

describe(`kills under load, seed ${settings.seed}`, () => {
  it.each(ROWS)("$row", async ({ row, target, clients, rate, withinMs }) => {
    await withRig({ run: `k${target.replace(/\W/g, "")}`, key, clients, rate: rate ?? settings.rate }, async (rig) => {
      const faults: number[] = [];
      await rig.flowing(90_000);
      for (let kill = 0; kill < settings.kills; kill++) {
        await rig.load(200 + settings.random() * 1_500);
        const { pid, atUs } = killNow(product, target);
        faults.push(atUs);
        await replaced(product, target, pid, 60_000);
        await rig.flowing(90_000);
      }
      await rig.load(500);
      const { verdict, facts, generator, sink } = await rig.finish();
      const refold = await compareWithRefold(product);
      const recovery = faults.map((atUs) => recoveryMs(facts, atUs) ?? Number.POSITIVE_INFINITY);
      reportFault(settings, {
        row,
        kills: faults.length,
        acked: verdict.acked,
        recoveryMs: recovery,
        longestDelayMs: verdict.longestDelayMs,
        notes: {
          freezeMs: Math.round(Math.max(...faults.map((atUs) => longestFreezeMs(facts, atUs - 1e6, atUs + 5e6)))),
          repeats: generator.repeats,
          statuses: generator.statuses,
          reconnects: sink.reconnects,
          refused: sink.refused,
          busyFactor: Number(busyFactor().toFixed(1)),
          refold,
        },
      });
      expect(summary(verdict)).toEqual(CLEAN);
      expect(refold.broken).toEqual([]);
      expect(refold.events).toBeGreaterThanOrEqual(verdict.acked);
      expect(Math.max(...recovery)).toBeLessThanOrEqual(withinMs * busyFactor());
      // The collector answers, refuses or is gone; it never accepts what it cannot store, so every refusal is one of these.
      expect(Object.keys(generator.statuses).filter((status) => !["202", "429", "502", "503", "no answer"].includes(status))).toEqual([]);
    });
  });

  it("18 events sent again, at once and after a restart of collector and scorer, change nothing", async () => {
    await withRig({ run: "twice", key, clients: 2, rate: settings.rate }, async (rig) => {
      await rig.flowing(90_000);
      await rig.load(2_000);
      await rig.generator.ask("stop");
      const atOnce = await rig.generator.ask<number>("resend");
      for (const target of ["ingest-0", "scoring-0"]) await replaced(product, target, killNow(product, target).pid, 60_000);
      const afterRestart = await rig.generator.ask<number>("resend");
      // Lanes keep order: when later events of every visitor are out, the repeats before them have been folded.
      await rig.markers("mark");
      const { verdict } = await rig.finish();
      reportFault(settings, {
        row: "18 duplicate sends",
        kills: 2,
        acked: verdict.acked,
        recoveryMs: [],
        longestDelayMs: verdict.longestDelayMs,
        notes: { atOnce, afterRestart },
      });
      expect(atOnce).toBeGreaterThan(100);
      expect(afterRestart).toBe(atOnce);
      expect((await compareWithRefold(product)).broken).toEqual([]);
      expect(summary(verdict)).toEqual(CLEAN);
    });
  });
});

async function withRig(options: RigOptions, body: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await startRig(product, options);
  try {
    await body(rig);
  } finally {
    await rig.stop();
  }
}

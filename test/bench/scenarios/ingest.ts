/**
 * S1: the collector at saturation and at 5,000 events/s, fsync before every acknowledgement, every acknowledged event found in the log
 * afterwards. Interleaved with the bare group commit on a server of its own. The whole system and the generator share the box.
 */
import { CpuMeter } from "../../support/process-stats.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { LogCount } from "../baselines/log-reader-role.ts";
import type { Rate } from "../baselines/nats-role.ts";
import type { LoadOptions, LoadResult } from "../load/load-role.ts";
import type { Pipeline } from "../reference/reference-pipeline.ts";
import type { BenchContext } from "../support/context.ts";
import { type BenchNats, startBenchNats } from "../support/nats.ts";
import { median, perMillion, ratioOf, type Row } from "../support/report.ts";
import { type BenchProduct, RAISED_LIMITS, startBenchProduct } from "./product.ts";

interface Variant {
  name: string;
  entrance: "ingest port" | "front";
  eventsPerRequest: number;
  rate?: number;
  connections: number;
  target?: { text: string; unit: "ev/s" | "requests/s"; least: number };
}

const VARIANTS: Variant[] = [
  {
    name: "saturation, 10 events per request",
    entrance: "ingest port",
    eventsPerRequest: 10,
    connections: 192,
    target: { text: "≥ 20k ev/s", unit: "ev/s", least: 20_000 },
  },
  {
    name: "saturation, 1 event per request",
    entrance: "ingest port",
    eventsPerRequest: 1,
    connections: 256,
    target: { text: "≥ 8k requests/s", unit: "requests/s", least: 8_000 },
  },
  { name: "5,000 ev/s timetable, 10 per request", entrance: "ingest port", eventsPerRequest: 10, rate: 5_000, connections: 64 },
  { name: "saturation, 10 events per request", entrance: "front", eventsPerRequest: 10, connections: 192 },
];
const WARM_UP_SECONDS = 6;
const TIMETABLE_P99_MS = 50;

interface Bench {
  context: BenchContext;
  bench: BenchProduct;
  load: Role;
  log: Role;
  baseline: Role;
}

export async function ingestScenario(context: BenchContext): Promise<Row[]> {
  const stop: (() => Promise<void>)[] = [];
  const role = async (name: string, file: string): Promise<Role> => {
    const started = await startRole(name, new URL(file, import.meta.url));
    stop.push(() => started.stop());
    return started;
  };
  try {
    const bench = await startBenchProduct();
    stop.push(() => bench.stop());
    const nats: BenchNats = await startBenchNats("always", context.env);
    stop.push(() => nats.stop());
    const all: Bench = {
      context,
      bench,
      load: await role("generator", "../load/load-role.ts"),
      log: await role("log reader", "../baselines/log-reader-role.ts"),
      baseline: await role("baseline publisher", "../baselines/nats-role.ts"),
    };
    await all.log.ask("connect", { url: bench.product.run.natsUrl, ...bench.product.run.natsUsers.admin });
    await all.baseline.ask("connect", nats.url);
    await all.baseline.ask("createStreams");
    // Compiled code, not cold code, is what is measured.
    for (const variant of VARIANTS.slice(0, 2))
      await all.load.ask("run", options(variant, bench.pipeline("ingest port"), `warm${variant.eventsPerRequest}`, WARM_UP_SECONDS));
    await drained(all.log);
    const rows: Row[] = [];
    for (const variant of VARIANTS.filter(({ name, entrance }) => `${name}, ${entrance}`.includes(context.only)))
      rows.push(await measure(all, variant, rows.length));
    return rows;
  } finally {
    for (const close of stop.toReversed()) await close();
  }
}

async function measure(all: Bench, variant: Variant, serial: number): Promise<Row> {
  const { context, bench, load, log, baseline } = all;
  const pipeline = bench.pipeline(variant.entrance);
  const pairs: [number, number][] = [];
  const runs: LoadResult[] = [];
  const counts: LogCount[] = [];
  const drains: number[] = [];
  const meterTotals = new Map<string, { cpuSeconds: number; peakRssBytes: number; pid: number }>();
  let sent = 0;
  for (let pair = 0; pair < context.pairs; pair++) {
    const run = `s1${serial}${pair}`;
    const meter = new CpuMeter(() => new Map([...pipeline.pids(), [load.name, load.pid]]));
    const result = await load.ask<LoadResult>("run", options(variant, pipeline, run, context.seconds));
    for (const use of meter.stop().processes) {
      const before = meterTotals.get(use.name);
      meterTotals.set(use.name, {
        pid: use.pid,
        cpuSeconds: (before?.cpuSeconds ?? 0) + use.cpuSeconds,
        peakRssBytes: Math.max(before?.peakRssBytes ?? 0, use.peakRssBytes),
      });
    }
    const drainFrom = performance.now();
    await drained(log);
    drains.push((performance.now() - drainFrom) / 1000);
    counts.push(await log.ask<LogCount>("count", { run, sent: result.sent, unknown: result.unknown }));
    runs.push(result);
    sent += result.sent;
    const groupCommit = await baseline.ask<Rate>("groupCommit", { seconds: Math.min(context.seconds, 5), maxEvents: 64 });
    await baseline.ask("purge");
    pairs.push([result.measured.events / result.measured.seconds, groupCommit.count / groupCommit.seconds]);
    context.log(
      `S1 ${variant.name} (${variant.entrance}): ${Math.round(result.measured.events / result.measured.seconds)} ev/s, ` +
        `p99 ack ${result.measured.latency.p99.toFixed(1)} ms, missing ${counts.at(-1)?.missing.length}, scoring drained in ${drains.at(-1)?.toFixed(1)} s`,
    );
  }
  const processes = [...meterTotals].map(([name, use]) => ({ name, ...use }));
  const perSecond = pairs.map(([product]) => product);
  const unit = variant.target?.unit ?? "ev/s";
  const value = unit === "requests/s" ? median(perSecond) / variant.eventsPerRequest : median(perSecond);
  const { ratio, warnings } = ratioOf(pairs);
  const last = runs.at(-1);
  const lost = counts.reduce((sum, count) => sum + count.missing.length, 0);
  const ackP99 = median(runs.map((run) => run.measured.latency.p99));
  for (const run of runs)
    if (run.unknown.length > 0) warnings.push(`not acknowledged: ${run.unknown.length} (${JSON.stringify(run.statuses)})`);
  if (variant.rate !== undefined && runs.some((run) => run.generatorLagP99 > 5)) warnings.push("void: generator late");
  return {
    scenario: `S1 ${variant.name}, through ${variant.entrance}`,
    unit,
    value,
    baseline: median(pairs.map(([, base]) => base)),
    ratio,
    ...(last ? { latency: { ...last.measured.latency, p99: ackP99 } } : {}),
    target: variant.target?.text ?? (variant.rate === undefined ? "informs" : `p99 ack ≤ ${TIMETABLE_P99_MS} ms`),
    ...(variant.target ? { pass: value >= variant.target.least } : variant.rate === undefined ? {} : { pass: ackP99 <= TIMETABLE_P99_MS }),
    processes,
    cpuPerMillion: perMillion(processes, sent),
    lost,
    duplicates: counts.reduce((sum, count) => sum + count.repeats, 0),
    warnings,
    details: {
      fsync: "always, before the acknowledgement",
      runs: perSecond.map(Math.round),
      connections: variant.connections,
      visitorsPerRequest: 1,
      scoringDrainSeconds: drains,
      limitsRaised: RAISED_LIMITS,
      retention: "laptop profile",
    },
  };
}

function options(variant: Variant, pipeline: Pipeline, run: string, seconds: number): LoadOptions {
  return {
    ...pipeline.http,
    run,
    visitors: 10_000,
    connections: variant.connections,
    eventsPerRequest: variant.eventsPerRequest,
    ...(variant.rate === undefined ? {} : { rate: variant.rate }),
    warmupSeconds: 2,
    seconds,
  };
}

/** Until every accepted message is covered by a frame. */
async function drained(log: Role): Promise<void> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const lag = await log.ask<number>("lag");
    if (lag === 0) return;
    if (performance.now() > deadline) throw new Error(`scoring is still ${lag} messages behind after 120 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

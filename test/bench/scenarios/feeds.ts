/**
 * S3: 100 upstream feeds × 100 messages/s → topics → 100 sockets with mixed subscriptions, against the reference pipeline on the same box in
 * interleaved pairs; what one stalled socket does to the others; memory of an idle socket of `/ws`.
 */
import { processStats } from "../../support/process-stats.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { SinkOptions } from "../load/sink-role.ts";
import { startFeedsReference } from "../reference/feeds-reference.ts";
import type { BenchContext } from "../support/context.ts";
import { median, type Percentiles, perMillion, ratioOf, type Row } from "../support/report.ts";
import { type FeedsProduct, RAISED_FEED_LIMITS, startFeedsProduct } from "./feeds-product.ts";
import { type FeedsRunOptions, type FeedsRunResult, runFeeds, startFeedSink } from "./feeds-run.ts";

/** Every fifth feed is plain, so that raw subscriptions have something to hear. */
const PLAN = { feeds: 100, plainEvery: 5 };
const SOCKETS = 100;
const RATES = [25, 100];
const WARM_UP_SECONDS = 12;
const MOST_LATENCY_RATIO = 2;
const MOST_STALL_RATIO = 1.1;
const STALL_RATE = 50;
const IDLE_SOCKETS = 9_000;

export async function feedsScenario(context: BenchContext): Promise<Row[]> {
  const stop: (() => Promise<void>)[] = [];
  try {
    const sink = await startFeedSink();
    stop.push(() => sink.stop());
    const reference = await startFeedsReference(context, PLAN);
    stop.push(() => reference.stop());
    const product = await startFeedsProduct(PLAN);
    stop.push(() => product.stop());
    const rows: Row[] = [];
    const isWanted = (name: string): boolean => name.includes(context.only);
    if (isWanted("idle memory")) rows.push(await idleMemory(context, product));
    const run = (pipeline: typeof reference, options: Partial<FeedsRunOptions> & { run: string }) =>
      runFeeds(pipeline, sink, PLAN, { perFeed: 100, sockets: SOCKETS, warmupSeconds: 2, seconds: context.seconds, ...options });
    // Compiled code, not cold code, is what is compared: the product has far more of it than the reference.
    for (const pipeline of [product, reference]) await run(pipeline, { run: "warmup", warmupSeconds: 0, seconds: WARM_UP_SECONDS });
    for (const perFeed of RATES) {
      const name = `${PLAN.feeds} feeds × ${perFeed} messages/s, ${SOCKETS} sockets`;
      if (!isWanted(name)) continue;
      const pairs: [FeedsRunResult, FeedsRunResult][] = [];
      for (let pair = 0; pair < context.pairs; pair++) {
        const ours = await run(product, { run: `p${perFeed}.${pair}`.padEnd(6, "_"), perFeed });
        const theirs = await run(reference, { run: `r${perFeed}.${pair}`.padEnd(6, "_"), perFeed });
        pairs.push([ours, theirs]);
        context.log(`S3 ${name}: ${text(ours)} | reference ${text(theirs)}`);
      }
      rows.push(latencyRow(name, pairs));
    }
    if (isWanted("one stalled socket")) {
      rows.push(...stallRows(await stallRuns(context, (options) => run(product, { perFeed: STALL_RATE, warmupSeconds: 5, ...options }))));
    }
    return rows;
  } finally {
    for (const close of stop.toReversed()) await close();
  }
}

function latencyRow(name: string, pairs: [FeedsRunResult, FeedsRunResult][]): Row {
  const p50 = ratioOf(pairs.map(([ours, theirs]) => [ours.latency.p50, theirs.latency.p50])).ratio;
  const { ratio, warnings } = ratioOf(pairs.map(([ours, theirs]) => [ours.latency.p99, theirs.latency.p99]));
  const first = pairs[0]?.[0];
  return {
    scenario: `S3 ${name}`,
    unit: "messages/s",
    value: median(pairs.map(([ours]) => ours.messagesPerSecond)),
    baseline: median(pairs.map(([, theirs]) => theirs.messagesPerSecond)),
    ratio,
    target: `≤ ${MOST_LATENCY_RATIO}× p99 (p50: ${p50.median.toFixed(2)})`,
    pass: ratio.median <= MOST_LATENCY_RATIO,
    latency: medians(pairs.map(([ours]) => ours.latency)),
    baselineLatency: medians(pairs.map(([, theirs]) => theirs.latency)),
    ...accounting(pairs.map(([ours]) => ours)),
    ...(first ? { processes: first.processes, cpuPerMillion: perMillion(first.processes, first.upstream.sent) } : {}),
    warnings: [
      ...warnings,
      ...new Set(pairs.flatMap(([ours]) => ours.warnings)),
      ...new Set(pairs.flatMap(([, theirs]) => theirs.warnings.map((warning) => `reference: ${warning}`))),
    ],
    details: {
      p50Ratio: p50,
      p99: pairs.map(([ours, theirs]) => [ours.latency.p99, theirs.latency.p99]),
      deliveriesPerSecond: pairs.map(([ours]) => Math.round(ours.deliveriesPerSecond)),
      referenceProcesses: pairs[0]?.[1].processes,
      referenceLost: pairs.reduce((sum, [, theirs]) => sum + theirs.lost, 0),
      limitsRaised: RAISED_FEED_LIMITS,
      fsync: "always, both sides",
    },
  };
}

/** One more socket that asks for everything: not there, reading, and stalled. */
interface StallRuns {
  none: FeedsRunResult;
  reading: FeedsRunResult;
  stalled: FeedsRunResult;
}

async function stallRuns(
  context: BenchContext,
  run: (options: Pick<FeedsRunOptions, "run" | "extra">) => Promise<FeedsRunResult>,
): Promise<StallRuns[]> {
  const all: StallRuns[] = [];
  for (let set = 0; set < context.pairs; set++) {
    const kinds = ["none", "reading", "stalled"] as const;
    const results = new Map<string, FeedsRunResult>();
    // Another one begins each time: what grows or cools down over the runs must not count for one kind only.
    for (let i = 0; i < kinds.length; i++) {
      const kind = kinds[(set + i) % kinds.length] ?? "none";
      results.set(kind, await run({ run: `${kind.slice(0, 4)}_${set % 10}`, extra: kind === "none" ? undefined : kind }));
    }
    const [none, reading, stalled] = kinds.map((kind) => results.get(kind));
    if (!none || !reading || !stalled) throw new Error("a run is missing");
    all.push({ none, reading, stalled });
    context.log(`S3 one stalled socket: ${text(stalled)} | reading ${text(reading)} | without it ${text(none)}`);
  }
  return all;
}

/** Against the same socket reading it is the harm of stalling; against none, that and what its subscriptions cost. */
function stallRows(all: readonly StallRuns[]): Row[] {
  const row = (beside: string, target: string, pairs: [FeedsRunResult, FeedsRunResult][], pass?: (ratio: number) => boolean): Row => {
    const { ratio, warnings } = ratioOf(pairs.map(([stalled, other]) => [stalled.latency.p99, other.latency.p99]));
    return {
      scenario: `S3 one stalled socket beside ${SOCKETS}, ${PLAN.feeds} feeds × ${STALL_RATE} messages/s: p99 of the others against ${beside}`,
      unit: "ms p99",
      value: median(pairs.map(([stalled]) => stalled.latency.p99)),
      baseline: median(pairs.map(([, other]) => other.latency.p99)),
      ratio,
      target,
      ...(pass ? { pass: pass(ratio.median) } : {}),
      latency: medians(pairs.map(([stalled]) => stalled.latency)),
      baselineLatency: medians(pairs.map(([, other]) => other.latency)),
      ...accounting(pairs.flat()),
      warnings: [...warnings, ...new Set(pairs.flat().flatMap((each) => each.warnings))],
      details: { processes: pairs.map(([stalled, other]) => [stalled.processes, other.processes]), limitsRaised: RAISED_FEED_LIMITS },
    };
  };
  return [
    row(
      "the same socket reading",
      `≤ ${MOST_STALL_RATIO}×`,
      all.map(({ stalled, reading }) => [stalled, reading]),
      (ratio) => ratio <= MOST_STALL_RATIO,
    ),
    row(
      "no such socket",
      "informs",
      all.map(({ stalled, none }) => [stalled, none]),
    ),
  ];
}

/** Resident memory of the edge per socket that only connected, as B7 measures a bare server. */
async function idleMemory(context: BenchContext, product: FeedsProduct): Promise<Row> {
  const sink = await startRole("sink", new URL("../load/sink-role.ts", import.meta.url));
  const bare = await startRole("server", new URL("../baselines/fanout-role.ts", import.meta.url));
  try {
    const edge = product.pids().get("edge-0") ?? 0;
    const ours = await perSocket(sink, product.ws.port, product.ws.path, edge);
    const theirs = await perSocket(sink, await bare.ask<number>("listen"), "/", bare.pid);
    context.log(`S3 idle memory: ${ours.toFixed(1)} KiB per socket, bare ws ${theirs.toFixed(1)} KiB`);
    return {
      scenario: `S3 idle memory, ${IDLE_SOCKETS} sockets on /ws`,
      unit: "KiB RSS/socket",
      value: ours,
      baseline: theirs,
      ratio: ratioOf([[ours, theirs]]).ratio,
      target: "informs",
    };
  } finally {
    await Promise.all([sink.stop(), bare.stop()]);
  }
}

async function perSocket(sink: Role, port: number, path: string, pid: number): Promise<number> {
  const rss = (): number => (processStats(pid)?.rssBytes ?? Number.NaN) / 1024;
  const options: SinkOptions = { host: "127.0.0.1", port, path, parsedPath: path, sockets: 50, parsed: 0, idMember: "_b", greetings: 0 };
  // Compiled code and warm pools are no sockets.
  await sink.ask("open", options);
  await sink.ask("close");
  const before = rss();
  await sink.ask("open", { ...options, sockets: IDLE_SOCKETS });
  const after = rss();
  await sink.ask("close");
  return (after - before) / IDLE_SOCKETS;
}

export function accounting(runs: FeedsRunResult[]): { lost: number; duplicates: number } {
  return {
    lost: runs.reduce((sum, each) => sum + each.lost, 0),
    duplicates: runs.reduce((sum, each) => sum + each.duplicates + each.foreign, 0),
  };
}

export function text({ latency, lost, duplicates, deliveriesPerSecond, warnings, processes }: FeedsRunResult): string {
  const cpu = processes.map(({ name, cpuSeconds }) => `${name} ${cpuSeconds.toFixed(1)}`).join(" ");
  const notes = warnings.length > 0 ? ` (${warnings.join("; ")})` : "";
  return `p50 ${latency.p50.toFixed(1)} p99 ${latency.p99.toFixed(1)} p99.9 ${latency.p999.toFixed(1)} ms, ${Math.round(deliveriesPerSecond)} deliveries/s, lost ${lost} dup ${duplicates}; cpu ${cpu}${notes}`;
}

export function medians(all: Percentiles[]): Percentiles {
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

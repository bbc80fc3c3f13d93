/** The reference pipeline alone: saturation and latency at fixed rates. Useful to see what the box can do today. */
import { nowUs } from "../../support/monotonic.ts";
import type { SinkResult } from "../load/sink-role.ts";
import { type ReferencePipeline, startReference } from "../reference/reference-pipeline.ts";
import type { BenchContext } from "../support/context.ts";
import { perMillion, type Row } from "../support/report.ts";
import { type Harness, type RunResult, runEndToEnd, startHarness } from "./end-to-end.ts";

export async function referenceScenario(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  const harness = await startHarness();
  const reference = await startReference(context).catch(async (error: unknown) => {
    await harness.stop();
    throw error;
  });
  try {
    let serial = 0;
    for (const rate of [undefined, 1_000, 5_000]) {
      const result = await runEndToEnd(reference, harness, {
        run: `ref${serial++}`,
        sockets: 1,
        ...(rate === undefined ? {} : { rate }),
        connections: rate === undefined ? 256 : 64,
        eventsPerRequest: 10,
        visitors: 10_000,
        warmupSeconds: 1,
        seconds: context.seconds,
      });
      rows.push(toRow(`reference pipeline, ${rate === undefined ? "closed loop" : `${rate} ev/s`}`, result));
      context.log(
        `reference ${rate ?? "max"}: ${Math.round(result.eventsPerSecond)} ev/s, p50 ${result.latency.p50.toFixed(1)} p99 ${result.latency.p99.toFixed(1)} ms`,
      );
    }
    rows.push(await withoutHttp(context, reference, harness));
    return rows;
  } finally {
    await reference.stop();
    await harness.stop();
  }
}

/** The same three processes with the events made inside the publisher: what HTTP costs. */
async function withoutHttp(context: BenchContext, reference: ReferencePipeline, harness: Harness): Promise<Row> {
  const { sink } = harness;
  const run = "refdirect";
  await sink.ask("open", { ...reference.ws, sockets: 1, parsed: 1, idMember: reference.idMember, greetings: reference.greetings });
  const startedUs = nowUs();
  await sink.ask("begin", { run, maxEvents: 400_000 * context.seconds, measureFromUs: startedUs });
  const made = await reference.publisher.ask<{ sent: number }>("timetable", {
    run,
    visitors: 10_000,
    window: 4_096,
    seconds: context.seconds,
  });
  await sink.ask("wait", { events: made.sent, quietMs: 5_000 });
  const seconds = (nowUs() - startedUs) / 1e6;
  const seen = await sink.ask<SinkResult>("result");
  await sink.ask("close");
  context.log(`reference without HTTP: ${Math.round(made.sent / seconds)} ev/s`);
  return {
    scenario: "reference pipeline without HTTP, closed loop",
    unit: "ev/s",
    value: made.sent / seconds,
    latency: seen.latency,
    lost: made.sent - (seen.seen[0] ?? 0),
    duplicates: seen.duplicates,
  };
}

export function toRow(scenario: string, result: RunResult): Row {
  return {
    scenario,
    unit: "ev/s",
    value: result.eventsPerSecond,
    latency: result.latency,
    processes: result.processes,
    cpuPerMillion: perMillion(result.processes, result.load.sent),
    lost: result.lost,
    duplicates: result.duplicates,
    warnings: result.warnings,
    details: {
      sent: result.load.sent,
      statuses: result.load.statuses,
      ackLatency: result.load.measured.latency,
      generatorLagP99: result.load.generatorLagP99,
      drainSeconds: result.drainSeconds,
      deliveriesPerSecond: result.deliveriesPerSecond,
    },
  };
}

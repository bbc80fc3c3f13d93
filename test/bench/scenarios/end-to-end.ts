/**
 * One measured run through a pipeline: generator → HTTP → … → WebSocket sinks, every accepted event accounted for at the first socket.
 * The product and the reference pipeline are run by the same function.
 */
import { nowUs } from "../../support/monotonic.ts";
import { CpuMeter, type CpuUse } from "../../support/process-stats.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { LoadOptions, LoadResult } from "../load/load-role.ts";
import type { SinkResult } from "../load/sink-role.ts";
import type { Pipeline } from "../reference/reference-pipeline.ts";
import type { Percentiles } from "../support/report.ts";

export interface RunOptions {
  run: string;
  sockets: number;
  /** Events per second; undefined = closed loop. */
  rate?: number;
  connections: number;
  eventsPerRequest: number;
  visitors: number;
  warmupSeconds: number;
  seconds: number;
}

export interface RunResult {
  load: LoadResult;
  sink: SinkResult;
  /** Acknowledged but not delivered to a socket, over all sockets. */
  lost: number;
  duplicates: number;
  /** First event due to last event delivered. */
  eventsPerSecond: number;
  deliveriesPerSecond: number;
  /** How long after the last acknowledgement the last delivery came. */
  drainSeconds: number;
  latency: Percentiles;
  processes: CpuUse[];
  warnings: string[];
}

export interface Harness {
  load: Role;
  sink: Role;
  stop(): Promise<void>;
}

export async function startHarness(): Promise<Harness> {
  const load = await startRole("generator", new URL("../load/load-role.ts", import.meta.url));
  const sink = await startRole("sink", new URL("../load/sink-role.ts", import.meta.url));
  return {
    load,
    sink,
    stop: async () => {
      await Promise.all([load.stop(), sink.stop()]);
    },
  };
}

export async function runEndToEnd(pipeline: Pipeline, harness: Harness, options: RunOptions): Promise<RunResult> {
  const { load, sink } = harness;
  await sink.ask("open", {
    ...pipeline.ws,
    sockets: options.sockets,
    parsed: 1,
    idMember: pipeline.idMember,
    greetings: pipeline.greetings,
  });
  try {
    const measureFromUs = nowUs() + options.warmupSeconds * 1e6;
    await sink.ask("begin", { run: options.run, maxEvents: 200_000 * (options.warmupSeconds + options.seconds), measureFromUs });
    const meter = new CpuMeter(() => new Map([...pipeline.pids(), ...[load, sink].map((role): [string, number] => [role.name, role.pid])]));
    const startedUs = nowUs();
    const request: LoadOptions = {
      ...pipeline.http,
      run: options.run,
      visitors: options.visitors,
      connections: options.connections,
      eventsPerRequest: options.eventsPerRequest,
      ...(options.rate === undefined ? {} : { rate: options.rate }),
      warmupSeconds: options.warmupSeconds,
      seconds: options.seconds,
    };
    const loadResult = await load.ask<LoadResult>("run", request);
    const lastAckUs = nowUs();
    await sink.ask("wait", { events: loadResult.sent - loadResult.unknown.length, quietMs: 5_000 });
    const doneUs = nowUs();
    const { processes, seconds } = meter.stop();
    const sinkResult = await sink.ask<SinkResult>("result");
    const missing = await sink.ask<number[]>("missing", { sent: loadResult.sent, limit: 1_000_000 });
    const unknown = new Set(loadResult.unknown);
    const expected = loadResult.sent - loadResult.unknown.length;
    const shortOnCounters = options.sockets > 1 ? Math.max(0, expected - sinkResult.countedMin) : 0;
    const totalSeconds = (doneUs - startedUs) / 1e6;
    const warnings: string[] = [];
    if (options.rate !== undefined && loadResult.generatorLagP99 > 5)
      warnings.push(`void: generator late, p99 ${loadResult.generatorLagP99.toFixed(1)} ms`);
    for (const { name, cpuSeconds } of processes)
      if (["generator", "sink"].includes(name) && cpuSeconds > 0.9 * seconds)
        warnings.push(`${name} used ${((100 * cpuSeconds) / seconds).toFixed(0)} % of a core`);
    if (loadResult.unknown.length > 0)
      warnings.push(`not acknowledged: ${loadResult.unknown.length} (${JSON.stringify(loadResult.statuses)})`);
    if (sinkResult.closed.length > 0) warnings.push(`sockets closed: ${sinkResult.closed.slice(0, 3).join(", ")}`);
    return {
      load: loadResult,
      sink: sinkResult,
      lost: missing.filter((n) => !unknown.has(n)).length + shortOnCounters,
      duplicates: sinkResult.duplicates + Math.max(0, sinkResult.countedMax - loadResult.sent),
      eventsPerSecond: loadResult.sent / totalSeconds,
      deliveriesPerSecond: sinkResult.deliveries / totalSeconds,
      drainSeconds: (doneUs - lastAckUs) / 1e6,
      latency: sinkResult.latency,
      processes,
      warnings,
    };
  } finally {
    await sink.ask("close");
  }
}

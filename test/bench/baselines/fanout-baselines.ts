/** B6 and B7: fan-out per CPU-second of a bare `ws` server in six ways of sending, and resident memory per idle socket. */
import { CpuMeter, processStats } from "../../support/process-stats.ts";
import { startRole } from "../../support/role.ts";
import type { SinkOptions } from "../load/sink-role.ts";
import type { BenchContext } from "../support/context.ts";
import { median, type Row } from "../support/report.ts";
import { FANOUT_MODES, type FanoutMode } from "./fanout-modes.ts";

const sinkOptions = (port: number, sockets: number): SinkOptions => ({
  host: "127.0.0.1",
  port,
  path: "/",
  parsedPath: "/",
  sockets,
  parsed: 0,
  idMember: "eventId",
  greetings: 0,
});

/** Deliveries per CPU-second of the server process, one number per repetition. */
export async function measureFanout(
  context: BenchContext,
  options: { sockets: number; payloadBytes: number; modes: readonly FanoutMode[] },
): Promise<Map<FanoutMode, number[]>> {
  const server = await startRole("server", new URL("./fanout-role.ts", import.meta.url));
  const sink = await startRole("sink", new URL("../load/sink-role.ts", import.meta.url));
  try {
    const port = await server.ask<number>("listen");
    await sink.ask("open", sinkOptions(port, options.sockets));
    const result = new Map<FanoutMode, number[]>(options.modes.map((mode) => [mode, []]));
    for (let i = 0; i < context.pairs; i++)
      for (const mode of options.modes) {
        const meter = new CpuMeter(() => new Map([["server", server.pid]]));
        const deliveries = await server.ask<number>("broadcast", { mode, seconds: context.seconds, payloadBytes: options.payloadBytes });
        const cpu = meter.stop().processes[0]?.cpuSeconds ?? Number.NaN;
        result.get(mode)?.push(deliveries / cpu);
        context.log(`B6 ${mode}: ${Math.round(deliveries / cpu)} deliveries per CPU-second`);
      }
    return result;
  } finally {
    await Promise.all([server.stop(), sink.stop()]);
  }
}

export async function fanoutBaselines(context: BenchContext): Promise<Row[]> {
  const payloadBytes = 256;
  const sockets = 500;
  const measured = await measureFanout(context, { sockets, payloadBytes, modes: FANOUT_MODES });
  return [...measured].map(([mode, values]) => ({
    scenario: `B6 ws fan-out, ${sockets} sockets, ${mode}`,
    unit: "deliveries/CPU-s",
    value: median(values),
    details: { payloadBytes, runs: values.map(Math.round) },
  }));
}

export async function idleMemory(context: BenchContext): Promise<Row[]> {
  const sockets = 9_000;
  const server = await startRole("server", new URL("./fanout-role.ts", import.meta.url), { execArgv: ["--expose-gc"] });
  const sink = await startRole("sink", new URL("../load/sink-role.ts", import.meta.url));
  try {
    const port = await server.ask<number>("listen");
    const before = processStats(server.pid)?.rssBytes ?? Number.NaN;
    await sink.ask("open", sinkOptions(port, sockets));
    const after = processStats(server.pid)?.rssBytes ?? Number.NaN;
    const each = (after - before) / sockets / 1024;
    context.log(`B7: ${each.toFixed(1)} KiB per socket`);
    return [{ scenario: `B7 idle memory, ${sockets} ws sockets`, unit: "KiB RSS/socket", value: each, details: { before, after } }];
  } finally {
    await Promise.all([server.stop(), sink.stop()]);
  }
}

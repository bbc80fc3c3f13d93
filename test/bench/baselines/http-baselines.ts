/** B10: an HTTP server that does nothing, driven by the same generator as the collector. */
import { CpuMeter } from "../../support/process-stats.ts";
import { startRole } from "../../support/role.ts";
import type { LoadOptions, LoadResult } from "../load/load-role.ts";
import type { BenchContext } from "../support/context.ts";
import { median, perMillion, type Row } from "../support/report.ts";

export async function httpBaselines(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const eventsPerRequest of [1, 10]) {
    const server = await startRole("server", new URL("./http-role.ts", import.meta.url));
    const load = await startRole("generator", new URL("../load/load-role.ts", import.meta.url));
    try {
      const port = await server.ask<number>("listen", { accepted: eventsPerRequest });
      const options: LoadOptions = {
        host: "127.0.0.1",
        port,
        key: "none",
        run: "b10",
        visitors: 10_000,
        connections: 64,
        eventsPerRequest,
        warmupSeconds: 1,
        seconds: context.seconds,
      };
      const runs: LoadResult[] = [];
      const meter = new CpuMeter(() => new Map([server, load].map((role) => [role.name, role.pid])));
      for (let i = 0; i < context.pairs; i++) runs.push(await load.ask<LoadResult>("run", options));
      const { processes } = meter.stop();
      const perSecond = runs.map(({ measured }) => measured.requests / measured.seconds);
      context.log(`B10 ${eventsPerRequest} per request: ${Math.round(median(perSecond))} requests/s`);
      rows.push({
        scenario: `B10 empty Node HTTP POST, ${eventsPerRequest} events per body`,
        unit: "requests/s",
        value: median(perSecond),
        processes,
        cpuPerMillion: perMillion(
          processes,
          runs.reduce((sum, { sent }) => sum + sent / eventsPerRequest, 0),
        ),
        details: { runs: perSecond.map(Math.round), connections: options.connections },
      });
    } finally {
      await Promise.all([server.stop(), load.stop()]);
    }
  }
  return rows;
}

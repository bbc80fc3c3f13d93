/** B1–B4: what the broker and its client can do on this box with nothing of ours around them. */
import { CpuMeter } from "../../support/process-stats.ts";
import { type Role, startRole } from "../../support/role.ts";
import { startBenchNats, type SyncPolicy } from "../support/nats.ts";
import { median, perMillion, type Row } from "../support/report.ts";
import type { Rate } from "./nats-role.ts";
import type { BenchContext } from "../support/context.ts";

export async function natsBaselines(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const sync of ["lazy", "always"] as const) rows.push(...(await onServer(context, sync)));
  return rows;
}

async function onServer(context: BenchContext, sync: SyncPolicy): Promise<Row[]> {
  const server = await startBenchNats(sync, context.env);
  const roles: Role[] = [];
  try {
    for (const name of ["publisher", "reader"]) roles.push(await startRole(name, new URL("./nats-role.ts", import.meta.url)));
    const [publisher, reader] = roles;
    if (!publisher || !reader) throw new Error("roles are missing");
    await Promise.all(roles.map((role) => role.ask("connect", server.url)));
    await publisher.ask("createStreams");
    const pids = new Map([["nats-server", server.pid], ...roles.map((role): [string, number] => [role.name, role.pid])]);
    const seconds = context.seconds;

    const measure = async (scenario: string, run: () => Promise<Rate>): Promise<Row> => {
      const rates: Rate[] = [];
      const meter = new CpuMeter(() => pids);
      for (let i = 0; i < context.pairs; i++) rates.push(await run());
      const { processes } = meter.stop();
      const total = rates.reduce((sum, rate) => sum + rate.count, 0);
      const perSecond = rates.map((rate) => rate.count / rate.seconds);
      context.log(`${scenario}: ${Math.round(median(perSecond))}/s`);
      return {
        scenario,
        unit: "ev/s",
        value: median(perSecond),
        processes,
        cpuPerMillion: perMillion(processes, total),
        details: { sync, payloadBytes: 256, runs: perSecond.map(Math.round), messages: rates.map((rate) => rate.messages) },
      };
    };

    const rows: Row[] = [];
    if (sync === "lazy") {
      rows.push(
        await measure("B1 core NATS pub → sub", async () => {
          const received = reader.ask<Rate>("subscribeCore");
          await publisher.ask("publishCore", { seconds });
          return received;
        }),
      );
      rows.push(await measure("B2 js.publish, window 500, lazy fsync", () => publisher.ask("publishWindowed", { seconds, window: 500 })));
      await publisher.ask("purge");
      const count = 100_000;
      await publisher.ask("fill", { count });
      rows.push(await measure("B4 ordered consumer", () => reader.ask("consume", { mode: "ordered", count })));
      rows.push(await measure("B4 explicit-ack consumer", () => reader.ask("consume", { mode: "explicit", count })));
      await publisher.ask("purge");
    }
    for (const maxEvents of [1, 10, 64]) {
      rows.push(
        await measure(`B3 group commit, 16 lanes, ${maxEvents} events/message, fsync ${sync}`, () =>
          publisher.ask("groupCommit", { seconds, maxEvents }),
        ),
      );
      await publisher.ask("purge");
    }
    return rows;
  } finally {
    await Promise.all(roles.map((role) => role.stop()));
    await server.stop();
  }
}

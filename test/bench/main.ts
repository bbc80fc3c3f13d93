/**
 * `npm run bench -- [scenario…] [--seconds n] [--pairs n]`: baselines and product scenarios by the protocol of docs/testing.md.
 * Writes test/results/bench-<time>.json and prints a Markdown table. Touches loopback and temporary directories only.
 */
import { parseArgs } from "node:util";
import { resolveNatsServer } from "@headwater/embedded";
import { fanoutBaselines, idleMemory } from "./baselines/fanout-baselines.ts";
import { httpBaselines } from "./baselines/http-baselines.ts";
import { natsBaselines } from "./baselines/nats-baselines.ts";
import { fanoutScenario } from "./scenarios/fanout.ts";
import { feedsScenario } from "./scenarios/feeds.ts";
import { ingestScenario } from "./scenarios/ingest.ts";
import { liveScenario } from "./scenarios/live.ts";
import { providerHangsScenario } from "./scenarios/provider-hangs.ts";
import { referenceScenario } from "./scenarios/reference.ts";
import { ticksScenario } from "./scenarios/ticks.ts";
import { topicsScenario } from "./scenarios/topics.ts";
import type { BenchContext } from "./support/context.ts";
import { beginReport, finishReport, markdownTable, type Row } from "./support/report.ts";

const SCENARIOS: Record<string, { about: string; run: (context: BenchContext) => Promise<Row[]> }> = {
  nats: { about: "B1–B4: core publish, js.publish, group commit, consumers", run: natsBaselines },
  ws: { about: "B6: ws fan-out in six ways", run: fanoutBaselines },
  memory: { about: "B7: memory per idle socket of bare ws", run: idleMemory },
  http: { about: "B10: empty Node HTTP POST", run: httpBaselines },
  reference: { about: "the reference pipeline alone", run: referenceScenario },
  S1: { about: "ingest: saturation and 5,000 ev/s, everything found in the log", run: ingestScenario },
  S2: { about: "ingest → label → 1, 100, 1,000 sockets against the reference", run: liveScenario },
  S3: {
    about: "100 feeds × 100 messages/s → topics → 100 sockets against the reference, one stalled socket, idle memory",
    run: feedsScenario,
  },
  T9: { about: "S3 while a model provider hangs under automatic analyses and questions, against S3 without", run: providerHangsScenario },
  ticks: { about: "automatic analyses: 1,000 topics at 10 s with a stub provider, how late each is asked", run: ticksScenario },
  topics: { about: "topic of a message on source text, against JSON.parse and a walk", run: topicsScenario },
  fanout: { about: "deliveries per CPU-second of the edge, 500 sockets", run: fanoutScenario },
};
const GROUPS: Record<string, string[]> = { baselines: ["nats", "ws", "memory", "http"] };

const usage = [
  "usage: npm run bench -- [scenario…] [--seconds n] [--pairs n] [--only text]",
  "  --only runs the variants of S1, S2 and S3 whose name contains the text",
  ...Object.entries(SCENARIOS).map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`),
  ...Object.entries(GROUPS).map(([name, parts]) => `  ${name.padEnd(12)} = ${parts.join(" ")}`),
].join("\n");

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "5" },
      pairs: { type: "string", default: "3" },
      only: { type: "string", default: "" },
      help: { type: "boolean", default: false },
    },
  });
  const names = (positionals.length > 0 ? positionals : Object.keys(SCENARIOS)).flatMap((name) => GROUPS[name] ?? [name]);
  const unknown = names.filter((name) => !(name in SCENARIOS));
  const seconds = Number(values.seconds);
  const pairs = Number(values.pairs);
  if (values.help || unknown.length > 0 || !(seconds > 0) || !(pairs >= 1)) {
    console.error(unknown.length > 0 ? `unknown scenario: ${unknown.join(", ")}\n${usage}` : usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const env = process.env;
  const nats = await resolveNatsServer(env, (line) => console.error(line));
  const report = beginReport(`npm run bench -- ${process.argv.slice(2).join(" ")}`, nats.version);
  const context: BenchContext = { env, seconds, pairs, only: values.only, log: (line) => console.error(`  ${line}`) };
  for (const name of names) {
    console.error(`${name} …`);
    const rows = await SCENARIOS[name]?.run(context);
    report.rows.push(...(rows ?? []));
  }
  const file = finishReport(report);
  console.log(
    `${markdownTable(report.rows)}\n\n${report.box.cpus} × ${report.box.model}, Node ${report.node}, nats-server ${report.nats}, ` +
      `commit ${report.git.commit.slice(0, 12)}${report.git.dirty ? " (dirty)" : ""}, load ${report.loadBefore[0]?.toFixed(1)} → ${report.loadAfter[0]?.toFixed(1)}\n${file}`,
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
await main();

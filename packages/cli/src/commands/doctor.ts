/** `headwater doctor`: why does it not start, and when it runs: is every part well, how long do the streams' bytes last. Tests: ../doctor/machine.int.test.ts. */
import path from "node:path";
import { parse, portOf } from "../arguments.ts";
import { type Finding, fail, ok } from "../doctor/finding.ts";
import {
  checkDataDir,
  checkDependencies,
  checkDisk,
  checkMemory,
  checkNatsServer,
  checkNode,
  checkPort,
  checkPostgres,
} from "../doctor/machine.ts";
import { checkServices, judgeHeadroom, measureHeadroom } from "../doctor/running.ts";
import { bytes, json, printable, table } from "../output.ts";
import type { Headroom } from "../system/streams.ts";
import { connectNats, findTarget, type Target } from "../system/target.ts";
import { CommandFailed, type Terminal } from "../terminal.ts";

const SAMPLE_MS = 2_000;

export async function doctorCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { "data-dir": { type: "string" } });
  const target = findTarget(args.port, terminal);
  const dataDir = path.resolve(terminal.cwd, args.text("data-dir") ?? target.run?.dataDir ?? ".headwater");
  const isRunning = target.run !== undefined;
  const findings: Finding[] = [
    checkNode(),
    checkDependencies(),
    checkNatsServer(terminal.env),
    checkPostgres(terminal.env),
    checkMemory(),
    checkDisk(dataDir),
    checkDataDir(dataDir, isRunning),
    await checkPort(portOf(args.port, terminal.env), terminal.env["BACKEND_HOST"] || "127.0.0.1", isRunning),
  ];
  let headroom: Headroom[] = [];
  if (isRunning) {
    findings.push(ok("process", `npm start is running as ${target.run?.pid} at ${target.url}`));
    const looked = await lookInside(target);
    findings.push(...looked.findings);
    headroom = looked.headroom;
  }
  const failed = findings.some((finding) => finding.level === "fail");
  if (args.json) await terminal.out(json({ ok: !failed, running: isRunning, findings, headroom }));
  else await terminal.out(human(findings, headroom, isRunning));
  return failed ? 1 : 0;
}

async function lookInside(target: Target): Promise<{ findings: Finding[]; headroom: Headroom[] }> {
  try {
    const nats = await connectNats(target, "admin");
    try {
      const [services, headroom] = await Promise.all([checkServices(nats, target), measureHeadroom(nats, SAMPLE_MS)]);
      return { findings: [ok("nats", "connected as operator"), ...services, judgeHeadroom(headroom)], headroom };
    } finally {
      await nats.drain();
    }
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    return { findings: [fail("nats", error.message)], headroom: [] };
  }
}

function human(findings: readonly Finding[], headroom: readonly Headroom[], isRunning: boolean): string {
  const marks = { ok: "ok  ", warn: "WARN", fail: "FAIL" } as const;
  const width = Math.max(...findings.map((finding) => finding.name.length));
  const lines = findings.flatMap((finding) => [
    `${marks[finding.level]} ${finding.name.padEnd(width)}  ${printable(finding.detail)}`,
    ...(finding.hint ? [`${" ".repeat(width + 7)}→ ${finding.hint}`] : []),
  ]);
  const busy = headroom.filter((row) => row.hours !== null);
  const rates =
    busy.length === 0
      ? ""
      : `\n${table(busy, [
          { title: "STREAM", value: (row) => row.stream },
          { title: "USED", value: (row) => `${(row.usedShare * 100).toFixed(1)} %`, align: "right" },
          { title: "PER HOUR", value: (row) => bytes(row.bytesPerSecond * 3_600), align: "right" },
          { title: "HOURS", value: (row) => (row.hours ?? 0).toFixed(1), align: "right" },
          { title: "THEN", value: (row) => (row.whenFull === "new" ? "full" : "oldest messages go") },
        ])}`;
  const verdict = findings.some((finding) => finding.level === "fail")
    ? "something is wrong, see FAIL above"
    : isRunning
      ? "all well"
      : "nothing runs on this port, and nothing stands in the way of npm start";
  return `${lines.join("\n")}\n${rates}\n${verdict}\n`;
}

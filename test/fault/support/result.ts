/** Numbers of a fault run for docs/faults.md: one JSON line per fault in test/results/faults.jsonl (git-ignored), and a line on stdout. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { FaultSettings } from "./settings.ts";

export interface FaultResult {
  row: string;
  kills: number;
  acked: number;
  /** From each fault to the first delivery of an event sent after it, ms. */
  recoveryMs: number[];
  /** Longest acknowledgement-to-delivery time of the run, ms. */
  longestDelayMs: number;
  notes?: Record<string, unknown>;
}

export function reportFault(settings: FaultSettings, result: FaultResult): void {
  const dir = path.join(import.meta.dirname, "../../results");
  fs.mkdirSync(dir, { recursive: true });
  const line = {
    at: new Date().toISOString(),
    box: `${os.cpus().length} × ${os.cpus()[0]?.model}`,
    node: process.version,
    rate: settings.rate,
    seed: settings.seed,
    ...result,
  };
  fs.appendFileSync(path.join(dir, "faults.jsonl"), `${JSON.stringify(line)}\n`);
  const times = result.recoveryMs.map((ms) => Math.round(ms)).join(", ");
  console.log(
    `${result.row}: ${result.kills} faults, ${result.acked} acked, recovery ${times || "–"} ms, longest delay ${Math.round(result.longestDelayMs)} ms, ` +
      `seed ${settings.seed}${result.notes ? ` ${JSON.stringify(result.notes)}` : ""}`,
  );
}

/**
 * Acceptance of bot and device labels on a labelled collection of user agents (docs/scoring.md): each row is one pageview of a
 * visitor of its own, with a browser key and no other evidence.
 *   node measure.ts <user_agents.jsonl[.gz]> --domain
 *   node measure.ts <user_agents.jsonl[.gz]> --url http://127.0.0.1:8080 --write-key cs_live_… --read-key cs_live_… [--show 20]
 *   --folds 3,4 takes only those of five parts, split by a hash of the agent: write rules from some, judge them by the others.
 * Prints a JSON report; exits 1 when a target is missed. The collection itself is not part of this repository.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { labelInProcess } from "./label-in-process.ts";
import { labelOverNetwork } from "./label-over-network.ts";
import { type LabeledRow, report, type Row } from "./report.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    domain: { type: "boolean", default: false },
    url: { type: "string" },
    "write-key": { type: "string" },
    "read-key": { type: "string" },
    folds: { type: "string", default: "0,1,2,3,4" },
    show: { type: "string", default: "0" },
  },
});

const folds = new Set(values.folds.split(",").map(Number));
const rows = readRows(positionals[0]).filter((row) => folds.has(foldOf(row)));
const labeled = await labelRows();
const result = report(labeled, Number(values.show));
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
process.exitCode = result.ok ? 0 : 1;

async function labelRows(): Promise<LabeledRow[]> {
  if (values.domain) return labelInProcess(rows);
  const { url, "write-key": writeKey, "read-key": readKey } = values;
  if (url === undefined || writeKey === undefined || readKey === undefined) {
    throw new Error("give --domain, or --url with --write-key and --read-key");
  }
  return labelOverNetwork(rows, { url, writeKey, readKey });
}

function readRows(path: string | undefined): Row[] {
  if (path === undefined) throw new Error("give the path of user_agents.jsonl or user_agents.jsonl.gz");
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  // One JSON object per line, as the collection's own description says.
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Row);
}

function foldOf(row: Row): number {
  return createHash("sha256").update(row.ua).digest().readUInt32BE(0) % 5;
}

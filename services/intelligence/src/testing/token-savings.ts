/**
 * Measures the prompt encoding with a real tokenizer (gpt-tokenizer, o200k_base) on the recorded feeds: windows of 50 messages as JSON, one a
 * line with its time, and encoded, legend included in neither. Writes the table into docs/llm.md; `--check` fails when it is out of date.
 */
import { readFileSync, globSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { z } from "zod";
import type { WindowEntry } from "../domain/material.ts";
import { parseSource, writeSource } from "../domain/source-json.ts";
import { encodeWindow } from "../domain/window-encoding.ts";
import { decodeWindow } from "./decode-window.ts";

const ROOT = path.resolve(import.meta.dirname, "../../../..");
const FILE = path.join(ROOT, "docs/llm.md");
const WINDOW = 50;
const MAX_WINDOWS = 6;
const BEGIN = "<!-- token-savings -->";
const END = "<!-- /token-savings -->";

const Line = z.object({ dir: z.string(), t: z.number().optional(), raw: z.string(), preface: z.boolean().optional() });

interface Row {
  feed: string;
  windows: number;
  messages: number;
  jsonTokens: number;
  encodedTokens: number;
  encodeMs: number;
}

/** Messages of a recording as a context would hold them, oldest first. */
function entriesOf(file: string): WindowEntry[] {
  const lines = gunzipSync(readFileSync(file)).toString().split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => Line.parse(JSON.parse(line)))
    .filter((line) => line.dir === "in" && line.preface !== true)
    .map((line, at) => ({ ts: Math.round((line.t ?? 1_600_000_000 + at / 10) * 1_000), json: jsonOf(line.raw) }));
}

function jsonOf(raw: string): string {
  try {
    return writeSource(parseSource(raw));
  } catch {
    return JSON.stringify({ raw });
  }
}

/** At even distances through the recording, newest first. */
function windowsOf(entries: readonly WindowEntry[]): WindowEntry[][] {
  const count = Math.max(1, Math.min(MAX_WINDOWS, Math.floor(entries.length / WINDOW)));
  const stride = Math.floor(entries.length / count);
  return Array.from({ length: count }, (_, at) => entries.slice(at * stride, at * stride + WINDOW).toReversed());
}

/** The same content as the encoding: time and message. */
const asJson = (entries: readonly WindowEntry[]): string =>
  entries.map(({ ts, json }) => `{"time":"${new Date(ts).toISOString()}","message":${json}}`).join("\n");

/** Where the demo feeds have their topic. */
const TOPICS: Readonly<Record<string, string | number>> = { coinbase: "product_id", kraken: 3 };

/** The newest window of each topic of a demo feed: what automatic analysis sends. */
function topicWindowsOf(entries: readonly WindowEntry[], at: string | number): WindowEntry[][] {
  const topics = new Map<string, WindowEntry[]>();
  for (const entry of entries) {
    const tree = parseSource(entry.json);
    const topic = typeof at === "string" ? (tree instanceof Map ? tree.get(at) : undefined) : Array.isArray(tree) ? tree[at] : undefined;
    if (typeof topic === "string") topics.set(topic, [...(topics.get(topic) ?? []), entry]);
  }
  return [...topics.values()].map((list) => list.slice(-WINDOW).toReversed());
}

function rowsOf(file: string): Row[] {
  const feed = path.basename(file, ".jsonl.gz");
  const entries = entriesOf(file);
  const topicAt = TOPICS[feed];
  const whole = measure(feed, windowsOf(entries));
  return topicAt === undefined ? [whole] : [whole, measure(`${feed}, by topic`, topicWindowsOf(entries, topicAt))];
}

function measure(feed: string, windows: readonly WindowEntry[][]): Row {
  const row: Row = { feed, windows: windows.length, messages: 0, jsonTokens: 0, encodedTokens: 0, encodeMs: 0 };
  for (const window of windows) {
    const began = performance.now();
    const text = encodeWindow(window);
    row.encodeMs += performance.now() - began;
    if (decodeWindow(text).length !== window.length) throw new Error(`${row.feed}: a window did not survive`);
    row.messages += window.length;
    row.jsonTokens += encode(asJson(window)).length;
    row.encodedTokens += encode(text).length;
  }
  return row;
}

const percent = (part: number, whole: number): string => `${((1 - part / whole) * 100).toFixed(1)} %`;
const perWindow = (count: number, row: Row): string => Math.round(count / row.windows).toLocaleString("en-US");

function table(rows: readonly Row[]): string {
  const lines = rows.map(
    (row) =>
      `| ${row.feed} | ${row.windows} × ${Math.round(row.messages / row.windows)} | ${perWindow(row.jsonTokens, row)} | ${perWindow(row.encodedTokens, row)} | ${percent(row.encodedTokens, row.jsonTokens)} |`,
  );
  const sum = (pick: (row: Row) => number): number => rows.reduce((total, row) => total + pick(row), 0);
  const total = percent(
    sum((row) => row.encodedTokens),
    sum((row) => row.jsonTokens),
  );
  return [
    "| recording | windows × messages | tokens as JSON | tokens encoded | saved |",
    "|---|---|---|---|---|",
    ...lines,
    `| **all** | ${sum((row) => row.windows)} windows | | | **${total}** |`,
  ].join("\n");
}

const files = globSync(["packages/standalone/demo/feeds/*.jsonl.gz", "test/data/feeds/*.jsonl.gz"], { cwd: ROOT }).sort((a, b) =>
  path.basename(a).localeCompare(path.basename(b)),
);
const rows = files.flatMap((file) => rowsOf(path.join(ROOT, file)));
const text = readFileSync(FILE, "utf8");
const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
if (rows.length === 0 || from === -1 || to === -1) throw new Error("no recordings, or no place for the table in docs/llm.md");
const updated = `${text.slice(0, from + BEGIN.length)}\n${table(rows)}\n${text.slice(to)}`;
const slowest = Math.max(...rows.map((row) => row.encodeMs / row.windows));
process.stdout.write(`${table(rows)}\nslowest window: ${slowest.toFixed(2)} ms\n`);
if (!process.argv.includes("--check")) writeFileSync(FILE, updated);
else if (updated !== text) {
  process.stderr.write("docs/llm.md is out of date: node services/intelligence/src/testing/token-savings.ts\n");
  process.exitCode = 1;
}

/**
 * What a run leaves behind: one JSON document with everything needed to judge the numbers (box, versions, load, limits raised) and a
 * Markdown table on stdout. Writes test/results/ only.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { CpuUse } from "../../support/process-stats.ts";

export interface Row {
  scenario: string;
  /** What `value` counts, e.g. `ev/s`. */
  unit: string;
  value: number;
  /** The same measured on the baseline, interleaved. */
  baseline?: number;
  ratio?: { median: number; min: number; max: number; pairs: number };
  target?: string;
  pass?: boolean;
  /** ms. */
  latency?: Percentiles;
  baselineLatency?: Percentiles;
  processes?: CpuUse[];
  /** CPU seconds per million events or deliveries of each process. */
  cpuPerMillion?: Record<string, number>;
  lost?: number;
  duplicates?: number;
  /** Spread of the baseline over 2x, generator late, generator above 90 % of a core … */
  warnings?: string[];
  details?: Record<string, unknown>;
}

export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
  count: number;
}

export interface Report {
  startedAt: string;
  command: string;
  git: { commit: string; dirty: boolean };
  box: { cpus: number; model: string; memoryGiB: number; kernel: string };
  node: string;
  nats: string;
  loadBefore: number[];
  loadAfter: number[];
  rows: Row[];
}

export function beginReport(command: string, nats: string): Report {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  return {
    startedAt: new Date().toISOString(),
    command,
    git: { commit: git("rev-parse", "HEAD"), dirty: git("status", "--porcelain", "--untracked-files=no") !== "" },
    box: {
      cpus: os.cpus().length,
      model: os.cpus()[0]?.model ?? "unknown",
      memoryGiB: Math.round(os.totalmem() / 2 ** 30),
      kernel: os.release(),
    },
    node: process.version,
    nats,
    loadBefore: os.loadavg(),
    loadAfter: [],
    rows: [],
  };
}

/** @returns path of the JSON file. */
export function finishReport(report: Report): string {
  report.loadAfter = os.loadavg();
  const dir = path.join(import.meta.dirname, "../../results");
  fs.mkdirSync(dir, { recursive: true });
  const file = path.join(dir, `bench-${report.startedAt.replaceAll(/[:.]/g, "-")}.json`);
  fs.writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}

export function markdownTable(rows: readonly Row[]): string {
  const lines = [
    "| scenario | value | baseline | ratio (min–max) | p50 / p99 / p99.9 ms | baseline p50 / p99 | lost / dup | target |",
    "|---|---|---|---|---|---|---|---|",
  ];
  for (const row of rows) {
    const ratio = row.ratio ? `${row.ratio.median.toFixed(2)} (${row.ratio.min.toFixed(2)}–${row.ratio.max.toFixed(2)})` : "";
    const loss = row.lost === undefined ? "" : `${row.lost} / ${row.duplicates ?? 0}`;
    // A run with loss or duplicates has no speed.
    const valid = (row.lost ?? 0) === 0 && (row.duplicates ?? 0) === 0;
    const value = valid ? `${short(row.value)} ${row.unit}` : "void: loss or duplicates";
    const target = row.target ? `${row.target}${row.pass === undefined ? "" : row.pass && valid ? " ✓" : " ✗"}` : "";
    lines.push(
      `| ${row.scenario} | ${value} | ${row.baseline === undefined ? "" : short(row.baseline)} | ${ratio} | ${ms(row.latency, true)} | ${ms(row.baselineLatency, false)} | ${loss} | ${target} |`,
    );
    for (const warning of row.warnings ?? []) lines.push(`| ↳ ${warning} | | | | | | | |`);
  }
  return lines.join("\n");
}

function ms(value: Percentiles | undefined, tail: boolean): string {
  if (!value) return "";
  const parts = tail ? [value.p50, value.p99, value.p999] : [value.p50, value.p99];
  return parts.map((n) => n.toFixed(1)).join(" / ");
}

export function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value.toFixed(value < 100 ? 2 : 0);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Ratio of interleaved pairs `[product, baseline]`, and a warning when the baseline itself moved too much to be one. */
export function ratioOf(pairs: readonly (readonly [number, number])[]): { ratio: NonNullable<Row["ratio"]>; warnings: string[] } {
  const ratios = pairs.map(([product, baseline]) => product / baseline);
  const baselines = pairs.map(([, baseline]) => baseline);
  const spread = Math.max(...baselines) / Math.min(...baselines);
  return {
    ratio: { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios), pairs: pairs.length },
    warnings: spread > 2 ? [`noisy: baseline spread ${spread.toFixed(1)}x`] : [],
  };
}

export function perMillion(processes: readonly CpuUse[], count: number): Record<string, number> {
  return Object.fromEntries(processes.map((use) => [use.name, Number(((use.cpuSeconds / count) * 1e6).toFixed(2))]));
}

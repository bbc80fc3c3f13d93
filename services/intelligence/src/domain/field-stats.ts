/**
 * What a window holds, field by field: numbers (also written as strings) with extremes, change and outliers, and categories with their shares.
 * Counters, ids and times are left out, because a trend of them says nothing. Pure. Tests: analyst.test.ts.
 */
import type { WindowEntry } from "./material.ts";
import { isStringLiteral, numberOf, parseSource, type SourceJson, valueOfString, writeSource } from "./source-json.ts";
import { columnName } from "./window-cells.ts";
import type { Column, PathStep } from "./window-columns.ts";

/** A number with the text it came as. */
export interface Reading {
  value: number;
  text: string;
  /** Receive time, ms. */
  ts: number;
}

export interface NumericField {
  kind: "numeric";
  name: string;
  count: number;
  first: Reading;
  last: Reading;
  min: Reading;
  max: Reading;
  mean: number;
  /** Standard deviation of the values. */
  deviation: number;
  /** Steps up and down between neighbours in time. */
  ups: number;
  downs: number;
  /** Far outside the bulk of the window, farthest first. */
  outliers: readonly Reading[];
}

export interface CategoryField {
  kind: "category";
  name: string;
  count: number;
  /** Most frequent first. */
  values: readonly { text: string; count: number }[];
}

export type Field = NumericField | CategoryField;

export interface WindowStats {
  count: number;
  firstTs: number;
  lastTs: number;
  longestGapMs: number;
  fields: readonly Field[];
}

const MIN_SHARE = 0.6;
const MAX_CATEGORIES = 12;
const MAX_FIELDS = 200;
/** Scalars of one message that are looked at, and distinct paths of a window that are followed. */
const MAX_SCALARS = 1_000;
const MAX_PATHS = 5_000;
const MAX_ELEMENTS = 12;
const MAX_DEPTH = 8;
const LONG_WINDOW = 10;
const NOT_A_MEASURE =
  /(?:^|[._[\]])(?:[a-z]*_?(?:id|ids|seq|sequence|sequence_num|nonce|time|timestamp|date)|ts|[a-z]*(?:Id|ID|Time|Timestamp|Seq|Date)|[ETU]|u|U|t)$/;
/** Distance from the median in median distances: about five standard deviations of a normal spread. */
const OUTLIER_DISTANCES = 7.5;
const MIN_OUTLIER_COUNT = 8;

/** @param entries newest first; what is not JSON counts as a message without fields. */
export function windowStats(entries: readonly WindowEntry[]): WindowStats {
  const oldestFirst = entries.toSorted((a, b) => a.ts - b.ts);
  const times = oldestFirst.map((entry) => entry.ts);
  const columns = scalarColumns(oldestFirst.map((entry) => treeOf(entry.json)));
  return {
    count: entries.length,
    firstTs: times[0] ?? 0,
    lastTs: times.at(-1) ?? 0,
    longestGapMs: Math.max(0, ...times.slice(1).map((ts, at) => ts - (times[at] ?? ts))),
    fields: columns.flatMap((column) => fieldOf(column, times) ?? []),
  };
}

/**
 * One column per path of a scalar, in order of first appearance. Unlike the prompt's columns, messages of different shapes in one window each
 * show their members: a trend of a field that one message in ten has is still a trend. Of too many paths those that most messages have stay;
 * a path of a single message in a long window is a key used as data.
 */
function scalarColumns(rows: readonly SourceJson[]): Column[] {
  const byName = new Map<string, { path: readonly PathStep[]; cells: (SourceJson | undefined)[]; count: number }>();
  rows.forEach((row, at) => {
    let left = MAX_SCALARS;
    const walk = (value: SourceJson, path: readonly PathStep[]): void => {
      if (left <= 0) return;
      if (typeof value !== "string") {
        if (path.length >= MAX_DEPTH) return;
        if (Array.isArray(value)) value.slice(0, MAX_ELEMENTS).forEach((item, index) => walk(item, [...path, { index }]));
        else for (const [key, item] of value) walk(item, [...path, { key }]);
        return;
      }
      left -= 1;
      const name = columnName(path);
      const known = byName.get(name) ?? { path, cells: Array.from<SourceJson | undefined>({ length: rows.length }), count: 0 };
      known.cells[at] = value;
      known.count += 1;
      if (known.count > 1 || byName.size < MAX_PATHS) byName.set(name, known);
    };
    walk(row, []);
  });
  const least = rows.length >= LONG_WINDOW ? 2 : 1;
  const columns = [...byName.values()].filter(({ count }) => count >= least);
  if (columns.length <= MAX_FIELDS) return columns;
  const floor = columns.map(({ count }) => count).sort((a, b) => b - a)[MAX_FIELDS - 1] ?? 0;
  return columns.filter(({ count }) => count >= floor).slice(0, MAX_FIELDS);
}

function treeOf(json: string): SourceJson {
  try {
    return parseSource(json);
  } catch {
    return new Map();
  }
}

function fieldOf(column: Column, times: readonly number[]): Field | undefined {
  const name = columnName(column.path);
  const present = column.cells.filter((cell) => cell !== undefined).filter((cell) => cell !== "null");
  const readings = column.cells.flatMap((cell, row): Reading[] => {
    const value = cell === undefined ? undefined : numberOf(cell);
    if (cell === undefined || value === undefined) return [];
    const text = writeSource(cell);
    return [{ value, text: isStringLiteral(cell) ? valueOfString(text) : text, ts: times[row] ?? 0 }];
  });
  if (readings.length > 0 && readings.length >= present.length * MIN_SHARE)
    return NOT_A_MEASURE.test(name) || isCounter(readings) || isChecksum(readings) ? undefined : numericField(name, readings);
  return NOT_A_MEASURE.test(name) ? undefined : categoryField(name, present);
}

/** Large whole numbers that only grow: a sequence or a clock. */
function isCounter(readings: readonly Reading[]): boolean {
  if (readings.some(({ value }) => !Number.isInteger(value) || value < 1_000_000)) return false;
  return readings.every(({ value }, at) => at === 0 || value >= (readings[at - 1]?.value ?? 0));
}

const WORD = 2 ** 32;
const MIN_CHECKSUMS = 5;

/** Whole numbers spread evenly over 32 bits, as the checksums of order books are: they measure nothing. */
function isChecksum(readings: readonly Reading[]): boolean {
  if (readings.length < MIN_CHECKSUMS || readings.some(({ value }) => !Number.isInteger(value) || value < 0 || value >= WORD)) return false;
  const mean = readings.reduce((sum, { value }) => sum + value / readings.length, 0);
  const deviation = Math.sqrt(readings.reduce((sum, { value }) => sum + (value - mean) ** 2 / readings.length, 0));
  return mean > WORD * 0.2 && mean < WORD * 0.8 && deviation > WORD * 0.12;
}

function numericField(name: string, readings: readonly Reading[]): NumericField | undefined {
  const [first] = readings;
  const last = readings.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const values = readings.map(({ value }) => value);
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2 / values.length, 0);
  const steps = values.slice(1).map((value, at) => value - (values[at] ?? value));
  return {
    kind: "numeric",
    name,
    count: readings.length,
    first,
    last,
    min: readings.reduce((least, reading) => (reading.value < least.value ? reading : least), first),
    max: readings.reduce((most, reading) => (reading.value > most.value ? reading : most), first),
    mean,
    deviation: Math.sqrt(variance),
    ups: steps.filter((step) => step > 0).length,
    downs: steps.filter((step) => step < 0).length,
    outliers: outliersOf(readings),
  };
}

function outliersOf(readings: readonly Reading[]): Reading[] {
  if (readings.length < MIN_OUTLIER_COUNT) return [];
  const middle = median(readings.map(({ value }) => value));
  const spread = median(readings.map(({ value }) => Math.abs(value - middle)));
  if (spread === 0) return [];
  const distance = ({ value }: Reading): number => Math.abs(value - middle) / spread;
  return readings.filter((reading) => distance(reading) > OUTLIER_DISTANCES).sort((a, b) => distance(b) - distance(a));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2;
}

function categoryField(name: string, cells: readonly SourceJson[]): CategoryField | undefined {
  const counts = new Map<string, number>();
  for (const cell of cells) {
    if (typeof cell !== "string") return undefined;
    const text = cell.startsWith('"') ? valueOfString(cell) : cell;
    counts.set(text, (counts.get(text) ?? 0) + 1);
    if (counts.size > MAX_CATEGORIES) return undefined;
  }
  // As many values as messages is text, not a category.
  if (counts.size === 0 || (counts.size > 3 && counts.size > cells.length / 2)) return undefined;
  const values = [...counts].map(([text, count]) => ({ text, count })).sort((a, b) => b.count - a.count);
  return { kind: "category", name, count: cells.length, values };
}

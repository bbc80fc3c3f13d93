/**
 * A window of messages as compact text for a prompt: keys once, values that never change once, repeats as `=`. Lossless: every message can be
 * rebuilt as the same JSON value with the same number texts. Nothing in a message can end its line. Pure.
 * Tests: window-encoding.test.ts; measured by src/testing/token-savings.ts.
 */
import type { WindowEntry } from "./material.ts";
import { parseSource, type SourceJson } from "./source-json.ts";
import { cellsOf, columnName, constantOf, escapeText, jsonCell } from "./window-cells.ts";
import { columnsOf } from "./window-columns.ts";

/** Said to the model once, before the data. */
export const WINDOW_LEGEND = [
  "The data is one or more tables, newest message first; cells are separated by |.",
  "`base` is the time of the newest message, column @t is ms relative to it, # the position in the window.",
  "`same` lists members with one value in all rows of the table. An empty cell: the message has no such member. = : as in the row above.",
  'Marks after a column name: \' text; \'a*b text where * stands for the cell; + step from the row above; {} JSON; {@} JSON where {"@cols":[names],"@rows":[values]} is a list of objects.',
].join("\n");

const MAX_TABLES = 6;
/** Shapes that share this part of their members are rows of one table. */
const MIN_LIKENESS = 0.5;

interface Row {
  at: number;
  entry: WindowEntry;
  tree: SourceJson;
}

interface Table {
  shape: ReadonlySet<string>;
  rows: Row[];
}

/** @param entries newest first. Text that is not JSON is kept as such. */
export function encodeWindow(entries: readonly WindowEntry[]): string {
  const [newest] = entries;
  if (newest === undefined) return "";
  const rows = entries.map((entry, at) => ({ at, entry, tree: treeOf(entry.json) }));
  const tables = tablesOf(rows);
  const lines = [`base ${new Date(newest.ts).toISOString()}`];
  for (const table of tables) lines.push(...linesOf(table.rows, newest.ts, tables.length > 1));
  return lines.join("\n");
}

/** A message that is no JSON is shown as `{"raw":"text"}`, as in every context. */
function treeOf(json: string): SourceJson {
  try {
    return parseSource(json);
  } catch {
    return new Map([["raw", JSON.stringify(json)]]);
  }
}

function linesOf(rows: readonly Row[], base: number, hasPositions: boolean): string[] {
  const columns = columnsOf(rows.map((row) => row.tree));
  const same: string[] = [];
  const headers: string[] = [];
  const cells: string[][] = rows.map(() => []);
  const add = (header: string, texts: readonly string[]): void => {
    headers.push(header);
    texts.forEach((text, row) => cells[row]?.push(text));
  };
  if (hasPositions)
    add(
      "#",
      rows.map((row) => String(row.at)),
    );
  add(
    "@t",
    rows.map((row) => String(row.entry.ts - base)),
  );
  if (rows.some((row) => row.entry.topic !== undefined))
    add(
      "@topic'",
      rows.map((row) => (row.entry.topic === undefined ? "" : escapeText(row.entry.topic))),
    );
  for (const column of columns) {
    const constant = constantOf(column);
    if (constant === undefined) {
      const { header, cells: texts } = cellsOf(column);
      add(header, texts);
    } else {
      same.push(`${columnName(column.path)}=${jsonCell(constant)}`);
    }
  }
  return [
    `rows ${rows.length}`,
    ...(same.length === 0 ? [] : [`same ${same.join("|")}`]),
    headers.join("|"),
    ...cells.map((row) => row.join("|")),
  ];
}

/** Messages of one kind together: a feed sends trades and book updates over one line. */
function tablesOf(rows: readonly Row[]): Table[] {
  const tables: Table[] = [];
  for (const row of rows) {
    const shape = shapeOf(row.tree);
    const [best, likeness] = closest(tables, shape);
    if (best !== undefined && (likeness >= MIN_LIKENESS || tables.length === MAX_TABLES)) best.rows.push(row);
    else tables.push({ shape, rows: [row] });
  }
  return tables;
}

function closest(tables: readonly Table[], shape: ReadonlySet<string>): [Table | undefined, number] {
  let best: Table | undefined;
  let most = -1;
  for (const table of tables) {
    const shared = [...shape].filter((member) => table.shape.has(member)).length;
    const likeness = shared / (shape.size + table.shape.size - shared);
    if (likeness > most) [best, most] = [table, likeness];
  }
  return [best, most];
}

/** Members of the first two levels. */
function shapeOf(tree: SourceJson): ReadonlySet<string> {
  const members = new Set<string>([typeof tree === "string" ? "scalar" : Array.isArray(tree) ? `array ${tree.length}` : "object"]);
  const walk = (value: SourceJson, prefix: string, depth: number): void => {
    if (typeof value === "string" || depth === 2) return;
    const inside = Array.isArray(value) ? value.slice(0, 12).map((item, at) => [String(at), item] as const) : [...value];
    for (const [key, member] of inside.slice(0, 64)) {
      members.add(`${prefix}${key}${typeof member === "string" ? "" : Array.isArray(member) ? "[" : "{"}`);
      walk(member, `${prefix}${key}.`, depth + 1);
    }
  };
  walk(tree, "", 0);
  return members;
}

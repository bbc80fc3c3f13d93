/**
 * Lays trees of different shapes side by side: one column per path, nested objects and tuples taken apart where all rows agree on them.
 * Nothing is lost: what cannot be taken apart stays a JSON cell. Pure. Tests: window-encoding.test.ts.
 */
import type { SourceJson } from "./source-json.ts";

/** A member of an object, or an element of an array. */
export type PathStep = { key: string } | { index: number };

export interface Column {
  path: readonly PathStep[];
  /** One per row; undefined: this row has nothing there. */
  cells: readonly (SourceJson | undefined)[];
}

const MAX_DEPTH = 8;
const MAX_KEYS = 64;
const MAX_TUPLE = 12;
/** Objects used as maps (price → size) have keys that hardly repeat: better as JSON. */
const MIN_FILL = 0.3;

export function columnsOf(rows: readonly SourceJson[]): Column[] {
  const columns: Column[] = [];
  split(rows, [], columns);
  return columns;
}

function split(cells: readonly (SourceJson | undefined)[], path: readonly PathStep[], columns: Column[]): void {
  const objects = cells.map((cell) => (cell instanceof Map && cell.size > 0 ? cell : undefined));
  const keys = path.length < MAX_DEPTH ? keysOf(objects) : undefined;
  if (keys !== undefined) {
    leaf(
      cells.map((cell, row) => (objects[row] === undefined ? cell : undefined)),
      path,
      columns,
    );
    for (const key of keys)
      split(
        objects.map((object) => object?.get(key)),
        [...path, { key }],
        columns,
      );
    return;
  }
  const length = path.length < MAX_DEPTH ? tupleLength(cells) : undefined;
  if (length === undefined) return leaf(cells, path, columns);
  leaf(
    cells.map((cell) => (Array.isArray(cell) ? undefined : cell)),
    path,
    columns,
  );
  for (let index = 0; index < length; index++)
    split(
      cells.map((cell) => (Array.isArray(cell) ? cell[index] : undefined)),
      [...path, { index }],
      columns,
    );
}

function leaf(cells: readonly (SourceJson | undefined)[], path: readonly PathStep[], columns: Column[]): void {
  if (cells.some((cell) => cell !== undefined)) columns.push({ path, cells });
}

/** In order of first appearance; undefined when the objects are none, or rather maps than records. */
function keysOf(objects: readonly (Map<string, SourceJson> | undefined)[]): string[] | undefined {
  const keys = new Set<string>();
  let count = 0;
  let members = 0;
  for (const object of objects) {
    if (object === undefined) continue;
    count += 1;
    members += object.size;
    for (const key of object.keys()) keys.add(key);
    if (keys.size > MAX_KEYS) return undefined;
  }
  return count === 0 || members / (count * keys.size) < MIN_FILL ? undefined : [...keys];
}

/** All arrays have this length, and it is short: a tuple rather than a list. */
function tupleLength(cells: readonly (SourceJson | undefined)[]): number | undefined {
  let length: number | undefined;
  for (const cell of cells) {
    if (!Array.isArray(cell)) continue;
    if (length !== undefined && cell.length !== length) return undefined;
    length = cell.length;
  }
  return length === undefined || length === 0 || length > MAX_TUPLE ? undefined : length;
}

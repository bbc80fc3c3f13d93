/**
 * One column of a window as text: its mark and its cells. Lossless; the reader is in src/testing/decode-window.ts. Pure.
 * Tests: window-encoding.test.ts.
 */
import { isStringLiteral, NUMBER, type SourceJson, valueOfString, writeSource } from "./source-json.ts";
import type { Column, PathStep } from "./window-columns.ts";

/** `header` is name and mark, `cells` one text per row; `""` means that the row has no such member. */
export interface CellText {
  header: string;
  cells: string[];
}

const ABSENT = "";
const REPEATED = "=";
const PLAIN_KEY = /^[\p{L}\p{N}_$-]+$/u;
const INTEGER = /^(?:0|-?[1-9]\d*)$/;
/** Shorter integers cost about as much as their difference. */
const MIN_DELTA_DIGITS = 6;
const MIN_TEMPLATE_ROWS = 3;
const MIN_TEMPLATE_CHARS = 4;

/** `a.b[0]`; a key with other characters is a JSON string, the whole value is `*`. */
export function columnName(path: readonly PathStep[]): string {
  if (path.length === 0) return "*";
  return path
    .map((step, at) => {
      if ("index" in step) return `[${step.index}]`;
      const key = PLAIN_KEY.test(step.key) ? step.key : quoted(step.key);
      return at === 0 ? key : `.${key}`;
    })
    .join("");
}

const quoted = (key: string): string =>
  JSON.stringify(key).replace(/[|=\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** JSON has `|` inside strings only, where it may be written otherwise. */
export const jsonCell = (value: SourceJson): string => writeSource(value).replaceAll("|", "\\u007c");

/** Two keys of ours; a message that uses them itself is written as it is. */
const COLS = "@cols";
const ROWS = "@rows";

/** Lists of objects with the same keys as `{"@cols":["a","b"],"@rows":[[1,2],[3,4]]}`, at any depth. Undefined: there is none. */
function transposed(value: SourceJson): SourceJson | undefined {
  if (typeof value === "string") return undefined;
  if (!Array.isArray(value)) {
    const members = [...value].map(([key, member]) => [key, transposed(member), member] as const);
    return members.some(([, changed]) => changed !== undefined)
      ? new Map(members.map(([key, changed, member]) => [key, changed ?? member]))
      : undefined;
  }
  const items = value.map((item) => transposed(item) ?? item);
  const keys = sharedKeys(value);
  if (keys === undefined) return items.some((item, at) => item !== value[at]) ? items : undefined;
  return new Map<string, SourceJson>([
    [COLS, keys.map((key) => JSON.stringify(key))],
    [ROWS, value.map((item) => keys.map((key) => cellOf(item, key)))],
  ]);
}

function cellOf(item: SourceJson, key: string): SourceJson {
  const member = item instanceof Map ? item.get(key) : undefined;
  return member === undefined ? "null" : (transposed(member) ?? member);
}

function sharedKeys(items: readonly SourceJson[]): string[] | undefined {
  const [first] = items;
  if (items.length < 2 || !(first instanceof Map) || first.size === 0) return undefined;
  const keys = [...first.keys()];
  return items.every((item) => item instanceof Map && item.size === keys.length && keys.every((key) => item.has(key))) ? keys : undefined;
}

function usesOurKeys(value: SourceJson): boolean {
  if (typeof value === "string") return false;
  if (Array.isArray(value)) return value.some(usesOurKeys);
  return value.has(COLS) || [...value.values()].some(usesOurKeys);
}

export function constantOf(column: Column): SourceJson | undefined {
  const first = column.cells[0];
  if (first === undefined || column.cells.length < 2) return undefined;
  const text = writeSource(first);
  return column.cells.every((cell) => cell !== undefined && writeSource(cell) === text) ? first : undefined;
}

/** Marks: none = literals, `'` = strings, `'a*b` = strings with `*` replaced by the cell, `+` = differences, `{}` = JSON, `{@}` = JSON with tables. */
export function cellsOf(column: Column): CellText {
  const name = columnName(column.path);
  const present = column.cells.filter((cell) => cell !== undefined);
  if (present.every((cell) => isStringLiteral(cell) || cell === "null") && present.some((cell) => cell !== "null"))
    return stringColumn(name, column.cells);
  if (present.every((cell) => typeof cell === "string" && !isStringLiteral(cell))) {
    const literals = column.cells.map((cell) => (cell === undefined ? undefined : writeSource(cell)));
    const deltas = differences(literals);
    if (deltas) return { header: `${name}+`, cells: deltas };
    return { header: name, cells: withRepeats(literals.map((literal) => literal ?? ABSENT)) };
  }
  const tables = present.some(usesOurKeys) ? [] : column.cells.map((cell) => (cell === undefined ? undefined : transposed(cell)));
  return {
    header: tables.some((table) => table !== undefined) ? `${name}{@}` : `${name}{}`,
    cells: withRepeats(column.cells.map((cell, row) => (cell === undefined ? ABSENT : jsonCell(tables[row] ?? cell)))),
  };
}

function stringColumn(name: string, cells: readonly (SourceJson | undefined)[]): CellText {
  const values = cells.map((cell) => (cell === undefined ? undefined : cell === "null" ? null : valueOfString(writeSource(cell))));
  const strings = values.filter((value) => typeof value === "string");
  const deltas = strings.length === cells.length ? differences(strings) : undefined;
  if (deltas) return { header: `${name}'+`, cells: deltas };
  const { prefix, suffix } = templateOf(strings);
  const texts = values.map((value) => {
    if (value === undefined) return ABSENT;
    if (value === null) return "\\0";
    return escapeText(value.slice(prefix.length, value.length - suffix.length));
  });
  const template = prefix === "" && suffix === "" ? "" : `${escapeTemplate(prefix)}*${escapeTemplate(suffix)}`;
  return { header: `${name}'${template}`, cells: withRepeats(texts) };
}

function withRepeats(texts: readonly string[]): string[] {
  return texts.map((text, row) => (row > 0 && text.length > 1 && text === texts[row - 1] ? REPEATED : text));
}

/** Long integers as the first one and steps from the row above; undefined when that is no shorter. */
function differences(texts: readonly (string | undefined)[]): string[] | undefined {
  const present = texts.filter((text) => text !== undefined);
  if (present.length < MIN_TEMPLATE_ROWS) return undefined;
  if (!present.every((text) => text.length >= MIN_DELTA_DIGITS && text.length <= 30 && INTEGER.test(text))) return undefined;
  let previous: bigint | undefined;
  const cells = texts.map((text) => {
    if (text === undefined) return ABSENT;
    const value = BigInt(text);
    const step = previous === undefined ? undefined : value - previous;
    previous = value;
    if (step === undefined) return text;
    return step < 0n ? `${step}` : `+${step}`;
  });
  const length = (list: readonly string[]): number => list.reduce((sum, text) => sum + text.length, 0);
  return length(cells) * 2 <= length(present) ? cells : undefined;
}

/** What all strings begin and end with, cut where a reader would: never inside a number or a word. */
function templateOf(strings: readonly string[]): { prefix: string; suffix: string } {
  const none = { prefix: "", suffix: "" };
  const [first = ""] = strings;
  if (strings.length < MIN_TEMPLATE_ROWS || strings.every((text) => text === first || NUMBER.test(text))) return none;
  let prefix = first.length;
  let suffix = first.length;
  for (const text of strings) {
    while (prefix > 0 && !text.startsWith(first.slice(0, prefix))) prefix -= 1;
    while (suffix > 0 && !text.endsWith(first.slice(first.length - suffix))) suffix -= 1;
  }
  while (prefix > 0 && /[\p{L}\p{N}\p{Cs}]/u.test(first[prefix - 1] ?? "")) prefix -= 1;
  const shortest = Math.min(...strings.map((text) => text.length));
  suffix = Math.min(suffix, shortest - prefix);
  while (suffix > 0 && /[\p{L}\p{N}\p{Cs}]/u.test(first.charAt(first.length - suffix))) suffix -= 1;
  // The zone of a time is worth keeping out of every row.
  if (suffix === 0 && strings.every((text) => text.length > prefix && /\dZ$/.test(text))) suffix = 1;
  if (prefix + suffix < MIN_TEMPLATE_CHARS) return none;
  return { prefix: first.slice(0, prefix), suffix: suffix === 0 ? "" : first.slice(-suffix) };
}

const NAMED: Readonly<Record<string, string>> = { "\\": "\\\\", "|": "\\|", "\n": "\\n", "\r": "\\r", "\t": "\\t", "*": "\\*" };
const escaped = (character: string): string => NAMED[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** No cell can end its line or its column, or look like one of the signs. */
export function escapeText(text: string): string {
  if (text === "") return "\\e";
  const safe = text.replace(/[\\|\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Cs}/gu, escaped);
  return safe.startsWith(REPEATED) ? `\\${safe}` : safe;
}

const escapeTemplate = (text: string): string => text.replace(/[\\|*\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Cs}/gu, escaped);

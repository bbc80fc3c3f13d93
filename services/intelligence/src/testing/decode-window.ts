/**
 * Reads what domain/window-encoding.ts writes, to prove that nothing is lost. Written from the format's description, not from the encoder.
 */
import type { WindowEntry } from "../domain/material.ts";
import { parseSource, type SourceJson, writeSource } from "../domain/source-json.ts";

type Step = string | number;
type Cell = SourceJson | undefined;

interface ColumnHead {
  path: Step[] | "#" | "@t" | "@topic";
  mark: "" | "'" | "+" | "'+" | "{}" | "{@}";
  prefix: string;
  suffix: string;
}

/** Entries in window order; `json` is compact. */
export function decodeWindow(text: string): WindowEntry[] {
  if (text === "") return [];
  const lines = text.split("\n");
  const base = Date.parse(lines.shift()?.replace(/^base /, "") ?? "");
  const entries = new Map<number, WindowEntry>();
  let next = 0;
  while (lines.length > 0) {
    const count = Number(/^rows (\d+)$/.exec(lines.shift() ?? "")?.[1]);
    const same = lines[0]?.startsWith("same ") === true ? splitCells(lines.shift()?.slice(5) ?? "").map(constant) : [];
    const heads = splitCells(lines.shift() ?? "").map(head);
    const rows = lines.splice(0, count).map(splitCells);
    const columns = heads.map((column, at) =>
      valuesOf(
        column,
        rows.map((row) => row[at] ?? ""),
      ),
    );
    rows.forEach((_, row) => {
      let tree: Cell;
      let [at, ts, topic] = [next++, base, undefined as string | undefined];
      for (const { path, value } of same) tree = put(tree, path, value);
      heads.forEach(({ path }, column) => {
        const value = columns[column]?.[row];
        if (value === undefined) return;
        if (path === "#") at = Number(value);
        else if (path === "@t") ts = base + Number(value);
        else if (path === "@topic") topic = JSON.parse(writeSource(value)) as string;
        else tree = put(tree, path, value);
      });
      entries.set(at, { ts, json: writeSource(tree ?? "missing"), ...(topic === undefined ? {} : { topic }) });
    });
  }
  return [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry);
}

/** At each `|` that no backslash escapes. */
function splitCells(line: string): string[] {
  const cells = [""];
  for (const [piece] of line.matchAll(/\\.|[^\\]/gsu)) {
    if (piece === "|") cells.push("");
    else cells[cells.length - 1] += piece;
  }
  return cells;
}

function constant(text: string): { path: Step[]; value: SourceJson } {
  const [path, rest] = pathOf(text);
  return { path, value: parseSource(rest.slice(1)) };
}

function head(text: string): ColumnHead {
  if (text === "#" || text === "@t") return { path: text, mark: "", prefix: "", suffix: "" };
  if (text === "@topic'") return { path: "@topic", mark: "'", prefix: "", suffix: "" };
  const [path, rest] = pathOf(text);
  if (rest === "" || rest === "+" || rest === "'+" || rest === "{}" || rest === "{@}") return { path, mark: rest, prefix: "", suffix: "" };
  const star = [...rest.matchAll(/\\.|[^\\]/gsu)].find(([piece]) => piece === "*")?.index;
  if (star === undefined) return { path, mark: "'", prefix: "", suffix: "" };
  return { path, mark: "'", prefix: unescape(rest.slice(1, star)), suffix: unescape(rest.slice(star + 1)) };
}

function pathOf(text: string): [Step[], string] {
  if (text.startsWith("*")) return [[], text.slice(1)];
  const path: Step[] = [];
  let rest = text;
  for (;;) {
    const hit = /^\[(\d+)\]|^\.?("(?:[^"\\]|\\.)*")|^\.?([\p{L}\p{N}_$-]+)/u.exec(rest);
    if (hit === null) return [path, rest];
    path.push(hit[1] !== undefined ? Number(hit[1]) : hit[2] !== undefined ? (JSON.parse(hit[2]) as string) : (hit[3] ?? ""));
    rest = rest.slice(hit[0].length);
  }
}

function valuesOf(column: ColumnHead, texts: readonly string[]): Cell[] {
  let above = "";
  let sum: bigint | undefined;
  return texts.map((cell) => {
    const text = cell === "=" ? above : cell;
    above = text;
    if (text === "") return undefined;
    if (column.mark === "" || column.mark === "{}") return parseSource(text);
    if (column.mark === "{@}") return untable(parseSource(text));
    if (column.mark === "+" || column.mark === "'+") {
      sum = sum === undefined ? BigInt(text) : sum + BigInt(text.replace("+", ""));
      return column.mark === "+" ? String(sum) : `"${sum}"`;
    }
    if (text === "\\0") return "null";
    return JSON.stringify(column.prefix + (text === "\\e" ? "" : unescape(text)) + column.suffix);
  });
}

function untable(value: SourceJson): SourceJson {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(untable);
  const [names, rows] = [value.get("@cols"), value.get("@rows")];
  if (!Array.isArray(names) || !Array.isArray(rows)) return new Map([...value].map(([key, member]) => [key, untable(member)]));
  const keys = names.map((name) => JSON.parse(writeSource(name)) as string);
  return rows.map((row) => new Map(keys.map((key, at) => [key, untable((Array.isArray(row) ? row[at] : undefined) ?? "missing")])));
}

function unescape(text: string): string {
  const named: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
  return text.replace(/\\(?:u([0-9a-f]{4})|(.))/gsu, (_, hex: string | undefined, character: string) =>
    hex === undefined ? (named[character] ?? character) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function put(tree: Cell, path: readonly Step[], value: SourceJson): SourceJson {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof step === "number") {
    const list = Array.isArray(tree) ? tree : [];
    list[step] = put(list[step], rest, value);
    return list;
  }
  const object = tree instanceof Map ? tree : new Map<string, SourceJson>();
  object.set(step, put(object.get(step), rest, value));
  return object;
}

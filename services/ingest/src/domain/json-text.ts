/**
 * Cuts values out of JSON source text without re-serialising them, so that numbers keep their digits. The text must be valid JSON (its reader
 * has parsed it); depth costs no stack. Pure. Tests: upstream-text.test.ts.
 */

/** Start and end of a value: `text.slice(start, end)`. */
type Span = readonly [start: number, end: number];

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One step of a path: a member name, or an index that counts from the end when negative. */
export type PathStep = string | number;

const NAME = /^[^.[\]\p{Cc}]+/u;
const INDEX = /^\[(0|-?[1-9]\d{0,8})\]/;
const MAX_PATH_CHARS = 256;
const MAX_STEPS = 16;

/** `data.items[-1]`: topic field syntax with any negative index. Undefined when it is none. */
export function parseDataPath(text: string): PathStep[] | undefined {
  let rest = text.trim();
  if (rest === "" || rest.length > MAX_PATH_CHARS) return undefined;
  const steps: PathStep[] = [];
  while (rest !== "") {
    const name = NAME.exec(rest)?.[0];
    if (name !== undefined) {
      steps.push(name);
      rest = rest.slice(name.length);
    }
    let index = INDEX.exec(rest);
    if (name === undefined && index === null) return undefined;
    for (; index !== null; index = INDEX.exec(rest)) {
      steps.push(Number(index[1]));
      rest = rest.slice(index[0].length);
    }
    if (rest === "") break;
    if (!rest.startsWith(".") || rest === ".") return undefined;
    rest = rest.slice(1);
  }
  return steps.length > MAX_STEPS ? undefined : steps;
}

/** Source text of the value at a path; undefined when it is not there. Of repeated members the last counts, as in `JSON.parse`. */
export function valueAt(json: string, path: readonly PathStep[]): string | undefined {
  let span: Span = trim(json, 0, json.length);
  for (const step of path) {
    const next = typeof step === "string" ? memberOf(json, span, step) : elementOf(json, span, step);
    if (next === undefined) return undefined;
    span = next;
  }
  return json.slice(span[0], span[1]);
}

/** Source texts of the elements of an array; undefined when it is none. */
export function elementsOf(json: string): string[] | undefined {
  return spansOf(json, trim(json, 0, json.length))?.map(([start, end]) => json.slice(start, end));
}

function memberOf(json: string, span: Span, name: string): Span | undefined {
  if (json[span[0]] !== "{") return undefined;
  let found: Span | undefined;
  let i = skipSpace(json, span[0] + 1);
  while (json[i] === '"') {
    const keyEnd = skipString(json, i);
    // Cheap for most keys: an escaped one is the exception.
    const raw = json.slice(i + 1, keyEnd - 1);
    const key = raw.includes("\\") ? (JSON.parse(json.slice(i, keyEnd)) as string) : raw;
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = skipValue(json, start);
    if (key === name) found = [start, end];
    i = skipSpace(json, end);
    if (json[i] !== ",") break;
    i = skipSpace(json, i + 1);
  }
  return found;
}

function elementOf(json: string, span: Span, index: number): Span | undefined {
  const spans = spansOf(json, span);
  return spans?.[index < 0 ? spans.length + index : index];
}

function spansOf(json: string, span: Span): Span[] | undefined {
  if (json[span[0]] !== "[") return undefined;
  const spans: Span[] = [];
  let i = skipSpace(json, span[0] + 1);
  while (i < span[1] && json[i] !== "]") {
    const end = skipValue(json, i);
    spans.push([i, end]);
    i = skipSpace(json, end);
    if (json[i] !== ",") break;
    i = skipSpace(json, i + 1);
  }
  return spans;
}

function trim(json: string, start: number, end: number): Span {
  let last = end;
  while (last > start && json.charCodeAt(last - 1) <= 0x20) last--;
  return [skipSpace(json, start), last];
}

function skipSpace(json: string, from: number): number {
  let i = from;
  while (i < json.length && json.charCodeAt(i) <= 0x20) i++;
  return i;
}

/** @returns the index after the closing quote. */
function skipString(json: string, from: number): number {
  for (let i = from + 1; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === QUOTE) return i + 1;
  }
  return json.length;
}

function skipValue(json: string, from: number): number {
  const first = json[from];
  if (first === '"') return skipString(json, from);
  if (first !== "{" && first !== "[") {
    let i = from;
    while (i < json.length && !",]} \n\r\t".includes(json[i] ?? "")) i++;
    return i;
  }
  let depth = 0;
  for (let i = from; i < json.length; i++) {
    const char = json[i];
    if (char === '"') i = skipString(json, i) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      depth--;
      if (depth === 0) return i + 1;
    }
  }
  return json.length;
}

/**
 * Finds the value that the steps of a path lead to, in one pass over JSON source text. Repeated keys: the last one counts, as in JSON.parse,
 * so an object is always read to its end. Tests: evaluate.test.ts.
 */
import type { PathStep } from "./path.ts";
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  isKey,
  NOWHERE,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  skipSpace,
  skipString,
  skipValue,
} from "./scan.ts";

/** Where a search ended: start of the value found or `NOWHERE`. Reused between searches. */
export interface Found {
  at: number;
}

/**
 * Searches the value that begins at `at`, from step `from` on.
 * @returns the position behind that value, or `NOWHERE` when the text is broken; then nothing is found either.
 */
export function locate(text: string, at: number, steps: readonly PathStep[], from: number, found: Found): number {
  const step = steps[from];
  if (step === undefined) {
    found.at = at;
    const end = skipValue(text, at);
    if (end === NOWHERE) found.at = NOWHERE;
    return end;
  }
  found.at = NOWHERE;
  const opens = text.charCodeAt(at);
  const end =
    typeof step === "string" ? inObject(text, at, opens, steps, from, step, found) : inArray(text, at, opens, steps, from, step, found);
  if (end === NOWHERE) found.at = NOWHERE;
  return end;
}

function inObject(text: string, at: number, opens: number, steps: readonly PathStep[], from: number, name: string, found: Found): number {
  if (opens !== OPEN_OBJECT) return skipValue(text, at);
  let i = skipSpace(text, at + 1);
  if (text.charCodeAt(i) === CLOSE_OBJECT) return i + 1;
  for (;;) {
    if (text.charCodeAt(i) !== QUOTE) return NOWHERE;
    const keyEnd = skipString(text, i);
    if (keyEnd === NOWHERE) return NOWHERE;
    const colon = skipSpace(text, keyEnd);
    if (text.charCodeAt(colon) !== COLON) return NOWHERE;
    const value = skipSpace(text, colon + 1);
    const end = isKey(text, i, keyEnd, name) ? locate(text, value, steps, from + 1, found) : skipValue(text, value);
    if (end === NOWHERE) return NOWHERE;
    i = skipSpace(text, end);
    const c = text.charCodeAt(i);
    if (c === CLOSE_OBJECT) return i + 1;
    if (c !== COMMA) return NOWHERE;
    i = skipSpace(text, i + 1);
  }
}

function inArray(text: string, at: number, opens: number, steps: readonly PathStep[], from: number, index: number, found: Found): number {
  if (opens !== OPEN_ARRAY) return skipValue(text, at);
  let i = skipSpace(text, at + 1);
  if (text.charCodeAt(i) === CLOSE_ARRAY) return i + 1;
  // Starts of the last elements, as many as the index counts from the end.
  const last: number[] = [];
  for (let position = 0; ; position++) {
    if (index < 0) {
      last.push(i);
      if (last.length > -index) last.shift();
    }
    const end = position === index ? locate(text, i, steps, from + 1, found) : skipValue(text, i);
    if (end === NOWHERE) return NOWHERE;
    i = skipSpace(text, end);
    const c = text.charCodeAt(i);
    if (c === CLOSE_ARRAY) break;
    if (c !== COMMA) return NOWHERE;
    i = skipSpace(text, i + 1);
  }
  const start = last.length === -index ? last[0] : undefined;
  if (start !== undefined && locate(text, start, steps, from + 1, found) === NOWHERE) return NOWHERE;
  return i + 1;
}

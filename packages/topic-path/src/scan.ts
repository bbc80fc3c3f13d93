/**
 * Moves over JSON source text without building values: skips what nobody asked for and answers with positions. Expects text that JSON.parse
 * takes; on any other text positions are meaningless but in range, and nothing throws or loops for ever. Depth costs no stack.
 * Tests: evaluate.test.ts, generator.test.ts.
 */
export const QUOTE = 0x22;
export const OPEN_ARRAY = 0x5b;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_ARRAY = 0x5d;
export const CLOSE_OBJECT = 0x7d;
const BACKSLASH = 0x5c;
export const COMMA = 0x2c;
export const COLON = 0x3a;

/** No such place, or the text ended. */
export const NOWHERE = -1;

/** First position from `at` that holds no white space. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  let c = text.charCodeAt(i);
  while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = text.charCodeAt(++i);
  return i;
}

/** Characters looked at one by one; most strings end within them. Behind them the engine's own search is quicker. */
const NEAR = 16;

/** `at` is on the opening quote; answers the position behind the closing one. */
export function skipString(text: string, at: number): number {
  const near = Math.min(at + 1 + NEAR, text.length);
  let i = at + 1;
  for (; i < near; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) return i + 1;
    if (c === BACKSLASH) i++;
  }
  for (let quote = text.indexOf('"', i); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (quote - backslashes > i && text.charCodeAt(quote - backslashes - 1) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return NOWHERE;
}

/** `at` is on the first character of a value; answers the position behind its last one. */
export function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return skipContainer(text, at);
  let i = at;
  while (i < text.length && !endsScalar(text.charCodeAt(i))) i++;
  return i === at ? NOWHERE : i;
}

function skipContainer(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const end = skipString(text, i);
      if (end === NOWHERE) return NOWHERE;
      i = end - 1;
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) depth++;
    else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
      depth--;
      if (depth === 0) return i + 1;
    }
  }
  return NOWHERE;
}

function endsScalar(c: number): boolean {
  return c === COMMA || c === CLOSE_OBJECT || c === CLOSE_ARRAY || c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
}

/**
 * Visits the elements of the array that opens at `at`, in order, until `visit` answers false.
 * @returns false when `at` is not on an array or the text broke before the visits ended.
 */
export function eachElement(text: string, at: number, visit: (start: number, end: number) => boolean): boolean {
  if (text.charCodeAt(at) !== OPEN_ARRAY) return false;
  let i = skipSpace(text, at + 1);
  if (text.charCodeAt(i) === CLOSE_ARRAY) return true;
  for (;;) {
    const end = skipValue(text, i);
    if (end === NOWHERE) return false;
    if (!visit(i, end)) return true;
    i = skipSpace(text, end);
    const c = text.charCodeAt(i);
    if (c === CLOSE_ARRAY) return true;
    if (c !== COMMA) return false;
    i = skipSpace(text, i + 1);
  }
}

/** Visits the members of the object that opens at `at`: the key's quotes, then the value. Answers like `eachElement`. */
export function eachMember(
  text: string,
  at: number,
  visit: (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void,
): boolean {
  if (text.charCodeAt(at) !== OPEN_OBJECT) return false;
  let i = skipSpace(text, at + 1);
  if (text.charCodeAt(i) === CLOSE_OBJECT) return true;
  for (;;) {
    if (text.charCodeAt(i) !== QUOTE) return false;
    const keyEnd = skipString(text, i);
    if (keyEnd === NOWHERE) return false;
    const colon = skipSpace(text, keyEnd);
    if (text.charCodeAt(colon) !== COLON) return false;
    const value = skipSpace(text, colon + 1);
    const end = skipValue(text, value);
    if (end === NOWHERE) return false;
    visit(i, keyEnd, value, end);
    i = skipSpace(text, end);
    const c = text.charCodeAt(i);
    if (c === CLOSE_OBJECT) return true;
    if (c !== COMMA) return false;
    i = skipSpace(text, i + 1);
  }
}

/** Is the string between these quotes this name? */
export function isKey(text: string, keyStart: number, keyEnd: number, name: string): boolean {
  const length = keyEnd - keyStart - 2;
  // A key written without escapes is its own source text; written with them, it is longer than the name.
  if (length === name.length) return text.startsWith(name, keyStart + 1) && !name.includes("\\");
  if (length < name.length) return false;
  for (let i = keyStart + 1; i < keyEnd - 1; i++) {
    if (text.charCodeAt(i) === BACKSLASH) return decodeString(text, keyStart, keyEnd) === name;
  }
  return false;
}

/** The string between the quotes at `start` and before `end`; undefined when its escapes are not JSON's. */
export function decodeString(text: string, start: number, end: number): string | undefined {
  const inner = text.slice(start + 1, end - 1);
  if (!inner.includes("\\")) return inner;
  try {
    // The slice is a string literal, so the cast only names what parsing it gives.
    return JSON.parse(text.slice(start, end)) as string;
  } catch {
    return undefined;
  }
}

/**
 * Is this text one JSON value? Takes exactly what JSON.parse takes, and builds nothing: feeds pass their messages on as text, and values that
 * nobody reads were most of what a message cost. Depth costs no stack. Pure. Tests: json-text.test.ts (against JSON.parse).
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const LOWER_U = 0x75;

const BROKEN = -1;
/** Behind the last character; no JSON has it outside of strings. */
const END = 0;

export interface JsonText {
  /** Of the value itself, when it is an array. */
  elements: number | undefined;
}

/** Undefined: not JSON. */
export function readJsonText(text: string): JsonText | undefined {
  /** Closing characters of what is open, the root first. */
  const open: number[] = [];
  let at = skipSpace(text, 0);
  const isArray = codeAt(text, at) === OPEN_ARRAY;
  let elements = 0;
  for (;;) {
    // A value begins here.
    const first = codeAt(text, at);
    if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
      const close = first === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
      at = skipSpace(text, at + 1);
      if (codeAt(text, at) !== close) {
        open.push(close);
        if (close === CLOSE_OBJECT) at = nameEnd(text, at);
        if (at === BROKEN) return undefined;
        continue;
      }
      at++;
    } else {
      at = first === QUOTE ? stringEnd(text, at) : scalarEnd(text, at, first);
      if (at === BROKEN) return undefined;
    }
    // A value has ended; so do all that close behind it.
    for (;;) {
      at = skipSpace(text, at);
      const close = open.at(-1);
      if (close === undefined) return at === text.length ? { elements: isArray ? elements : undefined } : undefined;
      if (isArray && open.length === 1) elements++;
      const next = codeAt(text, at);
      at++;
      if (next === close) {
        open.pop();
        continue;
      }
      if (next !== COMMA) return undefined;
      at = skipSpace(text, at);
      if (close === CLOSE_OBJECT) at = nameEnd(text, at);
      if (at === BROKEN) return undefined;
      break;
    }
  }
}

function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : END;
}

function skipSpace(text: string, at: number): number {
  let i = at;
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) break;
  }
  return i;
}

/** `at` is where a member's name must begin; answers where its value does. */
function nameEnd(text: string, at: number): number {
  if (codeAt(text, at) !== QUOTE) return BROKEN;
  const end = stringEnd(text, at);
  if (end === BROKEN) return BROKEN;
  const colon = skipSpace(text, end);
  return codeAt(text, colon) === COLON ? skipSpace(text, colon + 1) : BROKEN;
}

/** `at` is on the opening quote. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) return i + 1;
    if (c < 0x20) return BROKEN;
    if (c !== BACKSLASH) continue;
    i++;
    const escaped = codeAt(text, i);
    if (escaped === LOWER_U) {
      for (let digit = 1; digit <= 4; digit++) if (!isHexDigit(codeAt(text, i + digit))) return BROKEN;
      i += 4;
    } else if (!isShortEscape(escaped)) return BROKEN;
  }
  return BROKEN;
}

/** `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`. */
function isShortEscape(c: number): boolean {
  return c === QUOTE || c === BACKSLASH || c === 0x2f || c === 0x62 || c === 0x66 || c === 0x6e || c === 0x72 || c === 0x74;
}

function isDigit(c: number): boolean {
  return c >= ZERO && c <= 0x39;
}

function isHexDigit(c: number): boolean {
  return isDigit(c) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66);
}

/** A number, `true`, `false` or `null`. */
function scalarEnd(text: string, at: number, first: number): number {
  if (isDigit(first) || first === MINUS) return numberEnd(text, at, first);
  if (text.startsWith("true", at) || text.startsWith("null", at)) return at + 4;
  return text.startsWith("false", at) ? at + 5 : BROKEN;
}

function numberEnd(text: string, at: number, first: number): number {
  let i = first === MINUS ? at + 1 : at;
  // Nothing may stand behind a leading zero but a fraction or an exponent.
  i = codeAt(text, i) === ZERO ? i + 1 : digitsEnd(text, i);
  if (i !== BROKEN && codeAt(text, i) === DOT) i = digitsEnd(text, i + 1);
  if (i === BROKEN || (codeAt(text, i) | 0x20) !== 0x65) return i;
  const sign = codeAt(text, i + 1);
  return digitsEnd(text, sign === PLUS || sign === MINUS ? i + 2 : i + 1);
}

/** At least one. */
function digitsEnd(text: string, at: number): number {
  let i = at;
  while (i < text.length && isDigit(text.charCodeAt(i))) i++;
  return i === at ? BROKEN : i;
}

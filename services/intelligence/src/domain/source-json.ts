/**
 * JSON as a tree whose scalars are source text, so that 18446744073709551615 and 1.50 stay what the upstream wrote. Strings are normalised
 * literals: two are equal when their values are. Keys keep their order; of a repeated key the last value counts. Pure.
 * Tests: window-encoding.test.ts.
 */

/** A scalar is its literal: `1.50`, `"a"`, `true`, `null`. */
export type SourceJson = string | SourceJson[] | Map<string, SourceJson>;

/** JSON parsers of upstreams nest no deeper; deeper input is refused, not recursed into. */
const MAX_DEPTH = 200;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\r\n]*/y;

/** @throws SyntaxError when it is not one JSON value. */
export function parseSource(text: string): SourceJson {
  let at = 0;
  const value = readValue(0);
  skip();
  if (at !== text.length) throw new SyntaxError("text after the value");
  return value;

  function skip(): void {
    const code = text.charCodeAt(at);
    if (code > 32 || Number.isNaN(code)) return;
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  }

  function take(pattern: RegExp): string {
    pattern.lastIndex = at;
    const hit = pattern.exec(text);
    if (hit === null) throw new SyntaxError("not JSON");
    at = pattern.lastIndex;
    return hit[0];
  }

  function readString(): string {
    const literal = take(STRING);
    return literal.includes("\\") ? JSON.stringify(JSON.parse(literal)) : literal;
  }

  function readValue(depth: number): SourceJson {
    if (depth > MAX_DEPTH) throw new SyntaxError("nested too deep");
    skip();
    const first = text[at];
    if (first === "{") return readObject(depth);
    if (first === "[") return readArray(depth);
    return first === '"' ? readString() : take(SCALAR);
  }

  function readObject(depth: number): Map<string, SourceJson> {
    const members = new Map<string, SourceJson>();
    at += 1;
    skip();
    if (text[at] === "}") {
      at += 1;
      return members;
    }
    for (;;) {
      skip();
      const key = valueOfString(readString());
      skip();
      expect(":");
      members.set(key, readValue(depth + 1));
      skip();
      if (text[at] === "}") break;
      expect(",");
    }
    at += 1;
    return members;
  }

  function readArray(depth: number): SourceJson[] {
    const items: SourceJson[] = [];
    at += 1;
    skip();
    if (text[at] === "]") {
      at += 1;
      return items;
    }
    for (;;) {
      items.push(readValue(depth + 1));
      skip();
      if (text[at] === "]") break;
      expect(",");
    }
    at += 1;
    return items;
  }

  function expect(character: string): void {
    if (text[at] !== character) throw new SyntaxError("not JSON");
    at += 1;
  }
}

/** Compact JSON text of a tree. */
export function writeSource(value: SourceJson): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return `[${value.map(writeSource).join(",")}]`;
  return `{${[...value].map(([key, member]) => `${JSON.stringify(key)}:${writeSource(member)}`).join(",")}}`;
}

export const isStringLiteral = (value: SourceJson): boolean => typeof value === "string" && value.startsWith('"');

/** Value of a string literal. */
export function valueOfString(literal: string): string {
  return literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
}

export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The number a scalar stands for, also one inside a string as many feeds write prices; undefined for anything else. */
export function numberOf(value: SourceJson): number | undefined {
  if (typeof value !== "string") return undefined;
  const text = value.startsWith('"') ? value.slice(1, -1) : value;
  if (text.length > 40 || !NUMBER.test(text)) return undefined;
  const number = Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/**
 * Splits TypeScript text into code, string and comment parts, so that a rule about strings does not fire in a comment and the other way round.
 * Not a parser: regular expression literals are recognised by what stands before them. Pure; tests: source-rules.test.ts.
 */

export interface Part {
  kind: "code" | "string" | "comment";
  /** Without quotes and comment marks. Text of a template literal is split at its `${}`. */
  text: string;
  /** 1-based line of the part's first character. */
  line: number;
  /** String parts only: the literal goes on with `${…}`. */
  open: boolean;
}

const REGEX_MAY_FOLLOW = /(?:^|[=(,:;!&|?{}[+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new))\s*$/;

export function split(source: string): Part[] {
  const parts: Part[] = [];
  /** Depth of braces at which each enclosing `${` began. */
  const templates: number[] = [];
  let depth = 0;
  let line = 1;
  let code = "";
  let codeLine = 1;
  let at = 0;

  const push = (kind: Part["kind"], text: string, end: number, open = false): void => {
    if (code.trim() !== "") parts.push({ kind: "code", text: code, line: codeLine, open: false });
    if (kind !== "code") parts.push({ kind, text, line, open });
    line += count(source.slice(at, end));
    at = end;
    code = "";
    codeLine = line;
  };
  /** Reads template text from `from` up to its end or the next `${`. */
  const template = (from: number): void => {
    let i = from;
    while (i < source.length && source[i] !== "`" && !source.startsWith("${", i)) i += source[i] === "\\" ? 2 : 1;
    const open = source.startsWith("${", i);
    push("string", source.slice(from, i), i + (open ? 2 : 1), open);
    if (open) templates.push(depth++);
  };

  while (at < source.length) {
    const char = source[at];
    if (source.startsWith("//", at)) push("comment", source.slice(at + 2, endOf("\n", at)), endOf("\n", at));
    else if (source.startsWith("/*", at)) push("comment", source.slice(at + 2, endOf("*/", at)), endOf("*/", at) + 2);
    else if (char === '"' || char === "'") {
      const end = closing(char, at);
      push("string", source.slice(at + 1, end), end + 1);
    } else if (char === "`") template(at + 1);
    else if (char === "}" && templates.at(-1) === depth - 1) {
      depth = templates.pop() ?? 0;
      template(at + 1);
    } else if (char === "/" && REGEX_MAY_FOLLOW.test(code)) {
      const end = closing("/", at);
      code += source.slice(at, end + 1);
      at = end + 1;
    } else {
      if (char === "{") depth++;
      if (char === "}") depth--;
      if (char === "\n") line++;
      code += char;
      at++;
    }
  }
  push("code", "", at);
  return parts;

  function endOf(mark: string, from: number): number {
    const end = source.indexOf(mark, from + 2);
    return end === -1 ? source.length : end;
  }
  function closing(quote: string, from: number): number {
    let inClass = false;
    for (let i = from + 1; i < source.length; i++) {
      const here = source[i];
      if (here === "\\") i++;
      else if (quote === "/" && here === "[") inClass = true;
      else if (quote === "/" && here === "]") inClass = false;
      else if (here === quote && !inClass) return i;
      else if (here === "\n") return i;
    }
    return source.length;
  }
}

function count(text: string): number {
  let lines = 0;
  for (const char of text) if (char === "\n") lines++;
  return lines;
}

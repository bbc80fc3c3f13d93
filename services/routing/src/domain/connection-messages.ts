/**
 * The converter of connection messages: what a person pastes becomes the strings of `connectionMessages`. Works on source text, so digits beyond
 * 2^53 stay. Pure; tests: connection-messages.test.ts.
 */

/** @param input not blank. @returns one message per JSON value; text that is no JSON stays as it is. */
export function toConnectionMessages(input: string): string[] {
  const text = input.trim();
  if (isJson(text)) return [minify(text)];
  const values = splitValues(text);
  return values.length > 1 && values.every(isJson) ? values.map(minify) : [text];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Valid JSON without white space outside of its strings. */
function minify(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_all, string: string | undefined) => string ?? "");
}

/** Parts between line breaks that are outside of strings, arrays and objects. */
function splitValues(text: string): string[] {
  const parts: string[] = [];
  let begin = 0;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (isInString) {
      if (char === "\\") at++;
      else if (char === '"') isInString = false;
    } else if (char === '"') isInString = true;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === "\n" && depth === 0) {
      parts.push(text.slice(begin, at));
      begin = at + 1;
    }
  }
  parts.push(text.slice(begin));
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/**
 * The rules once more, without the scanner: JSON.parse (with the source text of numbers) and a plain walk over its values.
 * For tests; knows nothing of evaluate.ts.
 */
type Step = string | number;

/** A number with the text it was written as. */
class SourceNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** @throws SyntaxError */
export function parseWithSource(json: string): unknown {
  const reviver = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === "number" ? new SourceNumber(context?.source ?? String(value)) : value;
  // The types of JSON.parse lag behind its third argument.
  return JSON.parse(json, reviver as (key: string, value: unknown) => unknown);
}

/** Topic of each entry, `null` for none. */
export function referenceTopics(steps: readonly Step[], json: string): (string | null)[] {
  const message = parseWithSource(json);
  if (Array.isArray(message) && typeof steps[0] === "string") return message.map((element) => topic(walk(element, steps)));
  return [topic(walk(message, steps))];
}

const MISSING = Symbol("missing");

export function walk(root: unknown, steps: readonly Step[]): unknown {
  let current = root;
  for (const step of steps) {
    if (typeof step === "number") {
      if (!Array.isArray(current)) return MISSING;
      const index = step < 0 ? current.length + step : step;
      if (index < 0 || index >= current.length) return MISSING;
      current = current[index];
    } else {
      if (typeof current !== "object" || current === null || Array.isArray(current) || current instanceof SourceNumber) return MISSING;
      if (!Object.hasOwn(current, step)) return MISSING;
      current = (current as Record<string, unknown>)[step];
    }
  }
  return current;
}

function topic(value: unknown): string | null {
  if (typeof value === "boolean") return String(value);
  if (value instanceof SourceNumber) {
    const number = Number(value.text);
    if (/^-?\d+$/.test(value.text) && !Number.isSafeInteger(number)) return value.text.length <= 256 ? value.text : null;
    return Number.isFinite(number) ? String(number) : null;
  }
  if (typeof value !== "string") return null;
  const bytes = Buffer.byteLength(value);
  return bytes >= 1 && bytes <= 256 && !/\p{Cc}/u.test(value) && Buffer.from(value).toString() === value ? value : null;
}

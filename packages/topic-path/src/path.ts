/**
 * Grammar of topic fields (`data.path[-1]`) and of data paths (the same with any negative index): text → steps, or the reason why not.
 * Pure; a path is parsed once, when a feed is written or its record changes. Data: vectors/paths.json; tests: path.test.ts.
 */
export const MAX_TOPIC_FIELD_CHARACTERS = 256;
export const MAX_TOPIC_FIELD_STEPS = 16;

/** A string is an object key, a number a position in an array; negative positions count from the end. */
export type PathStep = string | number;

export interface TopicPath {
  /** Trimmed. */
  readonly source: string;
  /** 1 to `MAX_TOPIC_FIELD_STEPS`. */
  readonly steps: readonly PathStep[];
}

/** `reason` completes the sentence `topicField is invalid: <reason>`. */
export type ParsedTopicPath = { ok: true; path: TopicPath } | { ok: false; reason: string };

const INDEX = /^(?:-1|0|[1-9]\d{0,8})$/;
const DATA_INDEX = /^(?:-[1-9]\d{0,8}|0|[1-9]\d{0,8})$/;
const CONTROL = /\p{Cc}/u;

/** Never throws; anything but a string is refused like a bad string. `-1` is the only negative index. */
export function parseTopicField(input: unknown): ParsedTopicPath {
  return parse(input, INDEX);
}

/** `dataPath` of HTTP polling: the same grammar, but any negative index. */
export function parseDataPath(input: unknown): ParsedTopicPath {
  return parse(input, DATA_INDEX);
}

function parse(input: unknown, index: RegExp): ParsedTopicPath {
  if (typeof input !== "string") return refuse("must be a string");
  const source = input.trim();
  if (source === "") return refuse("must not be empty");
  if (source.length > MAX_TOPIC_FIELD_CHARACTERS && [...source].length > MAX_TOPIC_FIELD_CHARACTERS) {
    return refuse(`longer than ${MAX_TOPIC_FIELD_CHARACTERS} characters`);
  }
  if (CONTROL.test(source)) return refuse("control characters are not allowed");
  if (!source.isWellFormed()) return refuse("not valid Unicode");
  const steps: PathStep[] = [];
  for (const part of source.split(".")) {
    const reason = readPart(part, index, steps);
    if (reason !== undefined) return refuse(reason);
  }
  if (steps.length > MAX_TOPIC_FIELD_STEPS) return refuse(`more than ${MAX_TOPIC_FIELD_STEPS} steps`);
  return { ok: true, path: { source, steps } };
}

/** One dot-separated part: `name`, `name[0][1]` or `[0]`. */
function readPart(part: string, index: RegExp, steps: PathStep[]): string | undefined {
  if (part === "") return "empty step";
  const open = part.indexOf("[");
  const name = open === -1 ? part : part.slice(0, open);
  if (name.includes("]")) return "unexpected ]";
  if (name !== "") steps.push(name);
  let at = open === -1 ? part.length : open;
  while (at < part.length) {
    if (part[at] !== "[") return part[at] === "]" ? "unexpected ]" : "a . is needed between ] and a name";
    const close = part.indexOf("]", at);
    if (close === -1) return "missing ]";
    const digits = part.slice(at + 1, close);
    if (!index.test(digits)) return `bad index [${digits}]`;
    steps.push(Number(digits));
    at = close + 1;
  }
  return undefined;
}

const refuse = (reason: string): ParsedTopicPath => ({ ok: false, reason });

/**
 * Topics of one upstream message, read from its JSON source text: no value is built but the topic, and what is passed on is the text itself.
 * Pure and total: for text that is no JSON the answer is unspecified, but nothing throws. Cost is linear in the text, per element of a batch.
 * Data: vectors/topics.json; tests: evaluate.test.ts (against JSON.parse and a plain walk).
 */
import type { TopicPath } from "./path.ts";
import { type Found, locate } from "./locate.ts";
import { CLOSE_ARRAY, COMMA, decodeString, NOWHERE, OPEN_ARRAY, OPEN_OBJECT, QUOTE, skipSpace, skipString, skipValue } from "./scan.ts";

export const MAX_TOPIC_BYTES = 256;

/**
 * Why a message has no topic. `missing`: no such place. `null`, `not_scalar` (object or array), `empty`, `too_long` (over 256 bytes),
 * `control_characters`, `not_unicode` (half a surrogate pair), `not_finite` (1e999): what stands there cannot be a topic.
 */
export const NO_TOPIC_REASONS = [
  "missing",
  "null",
  "not_scalar",
  "empty",
  "too_long",
  "control_characters",
  "not_unicode",
  "not_finite",
] as const;
export type NoTopicReason = (typeof NO_TOPIC_REASONS)[number];

export type Topic = { readonly topic: string } | { readonly reason: NoTopicReason };

/** `json` is the message or, in a batch, its element, as in the source. */
export type RoutedMessage = Topic & { readonly json: string };

/**
 * Entries of a message in order: one, or one per element when the message is an array and the path starts with a name (a batch; none when empty).
 */
export function evaluateTopicField(path: TopicPath, json: string): RoutedMessage[] {
  const entries: RoutedMessage[] = [];
  visitTopics(path, json, (topic, start, end) => {
    entries.push({ ...topic, json: start === 0 && end === json.length ? json : json.slice(start, end) });
    return true;
  });
  return entries;
}

/** As `evaluateTopicField` without building a list; `visit` answers false to end. Positions are those of the entry's text. */
export function visitTopics(path: TopicPath, json: string, visit: (topic: Topic, start: number, end: number) => boolean): void {
  const root = skipSpace(json, 0);
  const found: Found = { at: NOWHERE };
  if (json.charCodeAt(root) !== OPEN_ARRAY || typeof path.steps[0] === "number") {
    locate(json, root, path.steps, 0, found);
    visit(topicAt(json, found.at), 0, json.length);
    return;
  }
  let start = skipSpace(json, root + 1);
  if (json.charCodeAt(start) === CLOSE_ARRAY) return;
  for (;;) {
    const end = locate(json, start, path.steps, 0, found);
    if (end === NOWHERE || !visit(topicAt(json, found.at), start, end)) return;
    const next = skipSpace(json, end);
    if (json.charCodeAt(next) !== COMMA) return;
    start = skipSpace(json, next + 1);
  }
}

/** Topic of the message as a whole, a batch not taken apart. */
export function topicOf(path: TopicPath, json: string): Topic {
  const found: Found = { at: NOWHERE };
  locate(json, skipSpace(json, 0), path.steps, 0, found);
  return topicAt(json, found.at);
}

/** Source text of the value a data path names, or undefined. */
export function selectJson(path: TopicPath, json: string): string | undefined {
  const found: Found = { at: NOWHERE };
  locate(json, skipSpace(json, 0), path.steps, 0, found);
  return found.at === NOWHERE ? undefined : json.slice(found.at, skipValue(json, found.at));
}

function topicAt(text: string, at: number): Topic {
  return at === NOWHERE ? MISSING : scalarTopic(text, at);
}

const MISSING: Topic = { reason: "missing" };
const CONTROL = /\p{Cc}/u;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const INTEGER = /^-?\d+$/;

/** Topic of the value at `at`. */
export function scalarTopic(text: string, at: number): Topic {
  const first = text.charCodeAt(at);
  if (first === QUOTE) {
    const end = skipString(text, at);
    const value = end === NOWHERE ? undefined : decodeString(text, at, end);
    return value === undefined ? MISSING : stringTopic(value);
  }
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return { reason: "not_scalar" };
  const end = skipValue(text, at);
  const token = end === NOWHERE ? "" : text.slice(at, end);
  if (token === "true" || token === "false") return { topic: token };
  if (token === "null") return { reason: "null" };
  return NUMBER.test(token) ? numberTopic(token) : MISSING;
}

function stringTopic(value: string): Topic {
  if (value === "") return { reason: "empty" };
  // Cheap bound first: no character takes less than a byte or, of those in one code unit, more than three.
  if (value.length > MAX_TOPIC_BYTES || (value.length * 3 > MAX_TOPIC_BYTES && utf8Length(value) > MAX_TOPIC_BYTES)) {
    return { reason: "too_long" };
  }
  if (CONTROL.test(value)) return { reason: "control_characters" };
  return value.isWellFormed() ? { topic: value } : { reason: "not_unicode" };
}

function numberTopic(token: string): Topic {
  const value = Number(token);
  if (!Number.isFinite(value)) return INTEGER.test(token) ? { reason: "too_long" } : { reason: "not_finite" };
  // An integer that a double cannot hold keeps its source digits; every other number is written as JavaScript does.
  if (Number.isSafeInteger(value) || !INTEGER.test(token)) return { topic: String(value) };
  return token.length > MAX_TOPIC_BYTES ? { reason: "too_long" } : { topic: token };
}

function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}

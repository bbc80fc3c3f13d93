/**
 * The built-in analyst: plain sentences about a window, each of them true by count or comparison. No model, no network, no chance: the same
 * window and question give the same words. Says that it is builtin. Pure. Tests: analyst.test.ts.
 */
import { type CategoryField, type Field, type NumericField, type Reading, windowStats, type WindowStats } from "./field-stats.ts";
import type { Material, WindowEntry } from "./material.ts";

const MAX_NUMERIC = 3;
const MAX_CATEGORY = 2;
const MAX_ASKED = 4;
const MAX_TOPICS = 5;
const SHOWN_CHARS = 60;
/** What a reader of a feed most likely wants to hear about. */
const INTERESTING =
  /(?:^|[._\]])(?:price|last|value|close|amount|rate|bid|best_bid|ask|best_ask|volume|volume_24h|size|last_size|qty|quantity|temperature|temp|speed|level|count|length|[pcvq])(?:$|[._[])/i;

/** Sentences in reading order; joined by a space they are the answer. Never empty. */
export function analyse(material: Material): string[] {
  const { entries, question } = material;
  const place = `${shown(material.feedName)}${material.topic === undefined ? "" : `, topic ${shown(material.topic)}`}`;
  const intro = `Builtin analysis of ${place} (statistics, no language model).`;
  if (entries.length === 0) return [intro, "There is no message in the window yet."];
  const stats = windowStats(entries);
  const topics = topicsOf(entries);
  const asked = mentioned(stats.fields, question);
  const sentences = [intro, volume(stats)];
  const wantsTopics = /\btopics?\b/i.test(question) && topics.length > 0;
  if (asked.length > 0) {
    if (wantsTopics) sentences.push(topicShares(topics, entries.length));
    return [...sentences, ...asked.flatMap((field) => (field.kind === "numeric" ? numeric(field, stats) : [category(field)]))];
  }
  if (topics.length > 1) return [...sentences, topicShares(topics, entries.length), ...perTopic(topics)];
  return [...sentences, ...summary(stats)];
}

function summary(stats: WindowStats): string[] {
  const numbers = stats.fields.filter((field) => field.kind === "numeric").sort((a, b) => interest(b) - interest(a));
  const categories = stats.fields.filter((field) => field.kind === "category");
  const sentences = numbers.slice(0, MAX_NUMERIC).flatMap((field) => numeric(field, stats));
  const mixed = categories.filter((field) => field.values.length > 1).slice(0, MAX_CATEGORY);
  sentences.push(...(mixed.length > 0 ? mixed : categories.slice(0, 1)).map(category));
  if (sentences.length === 0) sentences.push("I found no numbers and no repeating categories in these messages.");
  return sentences;
}

/** Named fields first, then those that move; a constant is hardly news. */
function interest(field: NumericField): number {
  const moves = field.min.value === field.max.value ? 0 : 1;
  return moves * 2 + (INTERESTING.test(field.name) ? 3 : 0) + Math.min(1, field.count / 100);
}

function volume(stats: WindowStats): string {
  const span = stats.lastTs - stats.firstTs;
  if (stats.count === 1) return "The window holds 1 message.";
  if (span <= 0) return `The window holds ${stats.count} messages received in the same millisecond.`;
  // Messages after the first one, over the time they took.
  const rate = ((stats.count - 1) * 1_000) / span;
  const gap = stats.longestGapMs > span / 4 ? ` The longest silence was ${duration(stats.longestGapMs)}.` : "";
  return `The window holds ${stats.count} messages over ${duration(span)}, ${number(rate)} a second.${gap}`;
}

function numeric(field: NumericField, stats: WindowStats): string[] {
  const name = shown(field.name);
  if (field.count === 1) return [`${name} is ${shown(field.last.text)} in the only message that has it.`];
  if (field.min.value === field.max.value) return [`${name} stayed at ${shown(field.last.text)} in ${field.count} messages.`];
  const change = field.last.value - field.first.value;
  const relative = (change / Math.abs(field.first.value)) * 100;
  // Of zero, or of numbers at the edge of what a double holds, there is no percentage.
  const percent = Number.isFinite(relative) ? ` (${signed(relative)} %)` : "";
  const way = change > 0 ? "rose" : change < 0 ? "fell" : "ended where it began";
  const move =
    change === 0
      ? `${name} ${way}, at ${shown(field.last.text)},`
      : `${name} ${way} from ${shown(field.first.text)} to ${shown(field.last.text)}${percent}`;
  const range = `with a low of ${shown(field.min.text)}, a high of ${shown(field.max.text)} and a mean of ${number(field.mean)}`;
  return [
    `${move} over ${field.count} messages, ${range}; it went up ${times(field.ups)} and down ${times(field.downs)}.`,
    ...volatility(name, field),
    ...outlier(name, field, stats),
  ];
}

function volatility(name: string, field: NumericField): string[] {
  if (field.count < 3 || !Number.isFinite((field.deviation / Math.abs(field.mean)) * 100)) return [];
  return [
    `The standard deviation of ${name} is ${number(field.deviation)}, ${number((field.deviation / Math.abs(field.mean)) * 100)} % of its mean.`,
  ];
}

function outlier(name: string, field: NumericField, stats: WindowStats): string[] {
  const [far] = field.outliers;
  if (far === undefined) return [];
  const others = field.outliers.length === 1 ? "" : `, and ${field.outliers.length - 1} more`;
  return [`An outlier of ${name} is ${shown(far.text)}, ${before(far, stats)}${others}.`];
}

function before(reading: Reading, stats: WindowStats): string {
  return reading.ts === stats.lastTs ? "in the newest message" : `${duration(stats.lastTs - reading.ts)} before the newest message`;
}

function category(field: CategoryField): string {
  const [top, ...rest] = field.values;
  if (top === undefined) return "";
  const name = shown(field.name);
  if (rest.length === 0) return `${name} is ${quote(top.text)} in all ${field.count} messages that have it.`;
  const others = rest.slice(0, 3).map(({ text, count }) => `${quote(text)} ${count}`);
  const more = rest.length > 3 ? ` and ${rest.length - 3} other values` : "";
  return `${name} is ${quote(top.text)} in ${top.count} of ${field.count} messages (${number((top.count / field.count) * 100)} %); then ${others.join(", ")}${more}.`;
}

interface TopicEntries {
  topic: string;
  entries: WindowEntry[];
}

function topicsOf(entries: readonly WindowEntry[]): TopicEntries[] {
  const topics = new Map<string, WindowEntry[]>();
  for (const entry of entries) {
    if (entry.topic === undefined) continue;
    const list = topics.get(entry.topic);
    if (list) list.push(entry);
    else topics.set(entry.topic, [entry]);
  }
  return [...topics].map(([topic, list]) => ({ topic, entries: list })).sort((a, b) => b.entries.length - a.entries.length);
}

function topicShares(topics: readonly TopicEntries[], count: number): string {
  const listed = topics.slice(0, MAX_TOPICS).map(({ topic, entries }) => `${shown(topic)} ${entries.length}`);
  const more = topics.length > MAX_TOPICS ? ` and ${topics.length - MAX_TOPICS} more` : "";
  return `The ${count} messages are of ${topics.length} topic${topics.length === 1 ? "" : "s"}: ${listed.join(", ")}${more}.`;
}

/** Prices of two instruments in one series would be a true sentence that says nothing. */
function perTopic(topics: readonly TopicEntries[]): string[] {
  return topics.slice(0, MAX_NUMERIC).flatMap(({ topic, entries }) => {
    const stats = windowStats(entries);
    const [field] = stats.fields.filter((candidate) => candidate.kind === "numeric").sort((a, b) => interest(b) - interest(a));
    const [sentence] = field === undefined ? [] : numeric(field, stats);
    return sentence === undefined ? [] : [`In ${shown(topic)}, ${sentence}`];
  });
}

/** Fields whose name, or the last part of it, occurs in the question as a word. */
function mentioned(fields: readonly Field[], question: string): Field[] {
  const words = new Set(
    question
      .toLowerCase()
      .match(/[\p{L}\p{N}_.$-]+/gu)
      ?.map((word) => word.replace(/[.,-]+$/, "")) ?? [],
  );
  const isAsked = (name: string): boolean => {
    const lower = name.toLowerCase();
    const last = lower.split(/[.[\]]+/).findLast((part) => part !== "") ?? lower;
    return words.has(lower) || ((last.length > 1 || fields.length < 4) && [last, `${last}s`].some((word) => words.has(word)));
  };
  return fields.filter((field) => isAsked(field.name)).slice(0, MAX_ASKED);
}

const times = (count: number): string => (count === 1 ? "once" : `${count} times`);
const signed = (value: number): string => (value > 0 ? `+${number(value)}` : number(value));
const quote = (text: string): string => `"${shown(text)}"`;

/** Four significant digits, never an exponent for common sizes. */
function number(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-9) return value.toExponential(3);
  const text =
    size >= 1_000 ? value.toFixed(size >= 100_000 ? 0 : 2) : value.toFixed(Math.min(12, Math.max(0, 3 - Math.floor(Math.log10(size)))));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function duration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  return ms < 120_000 ? `${number(ms / 1_000)} s` : `${number(ms / 60_000)} min`;
}

/** Feed text inside our sentences: short, one line. */
function shown(text: string): string {
  const points = [...text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, " ")];
  return points.length <= SHOWN_CHARS ? points.join("") : `${points.slice(0, SHOWN_CHARS).join("")}…`;
}

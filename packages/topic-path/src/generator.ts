/**
 * Topic-field generator: which topic fields would name the value (or the key) a user points at in a sample message.
 * Pure; bounded work for any sample: one walk over the text per level, at most `MAX_CANDIDATES` kept per length. Tests: generator.test.ts.
 */
import { scalarTopic } from "./evaluate.ts";
import { MAX_TOPIC_FIELD_STEPS, parseTopicField, type PathStep } from "./path.ts";
import { decodeString, eachElement, eachMember, OPEN_ARRAY, OPEN_OBJECT, skipSpace } from "./scan.ts";

export const MAX_CANDIDATES = 10;
/** Ways to write one place: every last position of an array can be `[i]` or `[-1]`. */
const MAX_SPELLINGS = 16;

export interface TopicFieldCandidate {
  topicField: string;
  /** What the sample itself would be routed to. */
  topic: string;
  /** One sentence for a person. */
  reason: string;
}

/**
 * @param sample any JSON value, or JSON source text as a string (keeps digits beyond 2^53); a string that is no JSON has no places.
 * @param find a key, or a scalar whose string form is looked for; anything else finds nothing.
 * @returns at most `MAX_CANDIDATES`, fewest steps first, then document order.
 */
export function generateTopicFields(sample: unknown, find: unknown): TopicFieldCandidate[] {
  const text = sourceText(sample);
  const wanted = typeof find === "string" || typeof find === "number" || typeof find === "boolean" ? String(find) : undefined;
  if (text === undefined || wanted === undefined) return [];
  const search: Search = { text, wanted, key: typeof find === "string" ? find : undefined, found: new Map() };
  const root = skipSpace(text, 0);
  if (text.charCodeAt(root) === OPEN_ARRAY) visitBatch(search, root);
  visit(search, root, [[]], "");
  return [...search.found.keys()]
    .sort((a, b) => a - b)
    .flatMap((steps) => [...(search.found.get(steps) ?? new Map()).values()])
    .slice(0, MAX_CANDIDATES);
}

interface Search {
  readonly text: string;
  readonly wanted: string;
  /** Keys are looked for only when a string was asked for. */
  readonly key: string | undefined;
  /** Candidates by number of steps, in document order. */
  readonly found: Map<number, Map<string, TopicFieldCandidate>>;
}

type Place = readonly PathStep[];

function sourceText(sample: unknown): string | undefined {
  try {
    const text = typeof sample === "string" ? sample : JSON.stringify(sample);
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}

/** The elements of a batch are routed one by one, so a path inside an element is a path of the batch. */
function visitBatch(search: Search, root: number): void {
  eachElement(search.text, root, (start) => {
    if (search.text.charCodeAt(start) === OPEN_OBJECT) visit(search, start, [[]], " of each element of the batch");
    return true;
  });
}

/** `places`: the ways to write where the container at `at` is. */
function visit(search: Search, at: number, places: readonly Place[], suffix: string): void {
  const depth = places[0]?.length ?? 0;
  if (depth >= MAX_TOPIC_FIELD_STEPS) return;
  const first = search.text.charCodeAt(at);
  if (first === OPEN_OBJECT) visitMembers(search, at, places, suffix);
  else if (first === OPEN_ARRAY) visitElements(search, at, places, suffix);
}

function visitMembers(search: Search, at: number, places: readonly Place[], suffix: string): void {
  const members = new Map<string, number>();
  eachMember(search.text, at, (keyStart, keyEnd, valueStart) => {
    members.set(decodeString(search.text, keyStart, keyEnd) ?? "", valueStart);
  });
  for (const [key, value] of members) {
    const inside = () => places.map((place) => [...place, key]);
    if (isContainer(search.text, value)) {
      if (!addressable(key)) continue;
      if (key === search.key) offerEnds(search, value, inside(), suffix);
      visit(search, value, inside(), suffix);
      continue;
    }
    if (key === search.key) offer(search, value, inside(), `value of the key ${key}${suffix}`);
    else offerIfWanted(search, value, inside, suffix);
  }
}

function visitElements(search: Search, at: number, places: readonly Place[], suffix: string): void {
  const elements = elementsOf(search.text, at);
  const lastFirst = ofOneType(search.text, elements);
  elements.forEach((value, index) => {
    const inside = () => spellings(places, index, elements.length, lastFirst);
    if (isContainer(search.text, value)) visit(search, value, inside(), suffix);
    else offerIfWanted(search, value, inside, suffix);
  });
}

/** A key was asked for and holds an array of scalars: its first and its last element are what one can route by. */
function offerEnds(search: Search, at: number, places: readonly Place[], suffix: string): void {
  if (search.text.charCodeAt(at) !== OPEN_ARRAY) return;
  const elements = elementsOf(search.text, at);
  const [first, last] = [elements[0], elements.at(-1)];
  if (first === undefined || last === undefined || elements.some((value) => isContainer(search.text, value))) return;
  const firstOffer = () => offer(search, first, append(places, 0), `first element of the array ${search.wanted}${suffix}`);
  const lastOffer = () => offer(search, last, append(places, -1), `last element of the array ${search.wanted}${suffix}`);
  for (const make of ofOneType(search.text, elements) ? [lastOffer, firstOffer] : [firstOffer, lastOffer]) make();
}

function offerIfWanted(search: Search, value: number, places: () => readonly Place[], suffix: string): void {
  const topic = scalarTopic(search.text, value);
  if ("topic" in topic && topic.topic === search.wanted) offer(search, value, places(), `value equals ${search.wanted}${suffix}`);
}

function offer(search: Search, value: number, places: readonly Place[], reason: string): void {
  const topic = scalarTopic(search.text, value);
  if (!("topic" in topic)) return;
  for (const place of places) {
    const topicField = write(place);
    if (topicField === undefined) continue;
    const same = search.found.get(place.length) ?? new Map<string, TopicFieldCandidate>();
    search.found.set(place.length, same);
    if (same.size < MAX_CANDIDATES && !same.has(topicField)) same.set(topicField, { topicField, topic: topic.topic, reason });
  }
}

/** Undefined when the place cannot be written as a topic field, e.g. a key with spaces at the end. */
function write(place: Place): string | undefined {
  const field = place.map((step, i) => (typeof step === "number" ? `[${step}]` : i === 0 ? step : `.${step}`)).join("");
  const parsed = parseTopicField(field);
  return parsed.ok && parsed.path.source === field && parsed.path.steps.join("\0") === place.join("\0") ? field : undefined;
}

function spellings(places: readonly Place[], index: number, length: number, lastFirst: boolean): Place[] {
  const plain = append(places, index);
  if (index !== length - 1) return plain;
  const fromEnd = append(places, -1);
  return (lastFirst ? [...fromEnd, ...plain] : [...plain, ...fromEnd]).slice(0, MAX_SPELLINGS);
}

const append = (places: readonly Place[], step: PathStep): Place[] => places.map((place) => [...place, step]);

function elementsOf(text: string, at: number): number[] {
  const starts: number[] = [];
  eachElement(text, at, (start) => {
    starts.push(start);
    return true;
  });
  return starts;
}

function isContainer(text: string, at: number): boolean {
  const first = text.charCodeAt(at);
  return first === OPEN_OBJECT || first === OPEN_ARRAY;
}

function ofOneType(text: string, starts: readonly number[]): boolean {
  return new Set(starts.map((at) => typeAt(text, at))).size === 1 && !starts.some((at) => isContainer(text, at));
}

/** JSON type by first character; both booleans are one type. */
function typeAt(text: string, at: number): string {
  const first = text[at] ?? "";
  if (first === '"') return "string";
  if (first === "t" || first === "f") return "boolean";
  return first === "n" ? "null" : "number";
}

function addressable(key: string): boolean {
  return key !== "" && !/[.[\]\p{Cc}]/u.test(key);
}

/**
 * Filters as clients write them: query parameters at connect, or the `filter` object of a `subscribe` message.
 * Both become a FeedFilter or one sentence saying what is wrong. Tests: filter-input.test.ts.
 */
import {
  BEHAVIORAL_CLASSES,
  BOT_CATEGORIES,
  DECISION_STAGES,
  DEVICE_TYPES,
  EMOTIONAL_STATES,
  FINE_EMOTIONS,
  FINE_STAGES,
  NUMERIC_SCORES,
  type NumericScore,
  VISIT_TYPES,
} from "@headwater/protocol";
import { type Dialect, type FeedFilter, scoreScale, type ThresholdCrossing } from "./filter.ts";

export type FilterResult = { ok: true; filter: FeedFilter | null } | { ok: false; problem: string };

const MAX_LIST = 100;
const MAX_ITEM_CHARS = 256;
const MAX_STARS = 8;
const LIST_NAMES = [
  "eventTypes",
  "classes",
  "botCategories",
  "pages",
  "sites",
  "devices",
  "decisionStages",
  "emotionalStates",
  "crossing",
  "names",
] as const;
const SCALAR_NAMES = ["isBot", "identified", "sample"] as const;
const FILTER_NAMES: ReadonlySet<string> = new Set([...LIST_NAMES, ...SCALAR_NAMES]);

class FilterProblem extends Error {}

/** Takes what is a filter out of the query; other parameters are not its business. Repeated parameters add up. */
export function filterFromQuery(query: Iterable<readonly [string, string]>, dialect: Dialect): FilterResult {
  const raw = new Map<string, unknown[]>();
  for (const [name, value] of query) {
    if (!FILTER_NAMES.has(name) && !isBound(name)) continue;
    const values = raw.get(name) ?? [];
    values.push(value);
    raw.set(name, values);
  }
  return build(raw, dialect);
}

/** `null`, absent and `{}` mean no filter. Unknown members are refused, because a typo would deliver everything. */
export function filterFromMessage(value: unknown, dialect: Dialect): FilterResult {
  if (value === null || value === undefined) return { ok: true, filter: null };
  if (typeof value !== "object" || Array.isArray(value)) return { ok: false, problem: "filter must be an object" };
  const raw = new Map<string, unknown[]>();
  for (const [name, member] of Object.entries(value)) {
    if ((name === "min" || name === "max") && typeof member === "object" && member !== null && !Array.isArray(member)) {
      for (const [score, bound] of Object.entries(member)) raw.set(`${name}.${score}`, [bound]);
    } else if (FILTER_NAMES.has(name) || isBound(name)) {
      raw.set(name, Array.isArray(member) ? member : [member]);
    } else {
      return { ok: false, problem: `unknown filter ${quote(name)}` };
    }
  }
  return build(raw, dialect);
}

function isBound(name: string): boolean {
  return name.startsWith("min.") || name.startsWith("max.");
}

function build(raw: ReadonlyMap<string, readonly unknown[]>, dialect: Dialect): FilterResult {
  if (raw.size === 0) return { ok: true, filter: null };
  try {
    return { ok: true, filter: read(raw, dialect) };
  } catch (error) {
    if (error instanceof FilterProblem) return { ok: false, problem: error.message };
    throw error;
  }
}

function read(raw: ReadonlyMap<string, readonly unknown[]>, dialect: Dialect): FeedFilter {
  const list = (name: string): string[] | undefined => {
    const values = raw.get(name);
    return values && readList(name, values);
  };
  const closed = <T extends string>(name: string, allowed: readonly T[]): T[] | undefined =>
    list(name)?.map((item) => {
      const found = allowed.find((value) => value === item);
      if (found === undefined) throw new FilterProblem(`${name}: ${quote(item)} is not one of ${allowed.join(", ")}`);
      return found;
    });
  const flag = (name: string): boolean | undefined => {
    const values = raw.get(name);
    if (values === undefined) return undefined;
    const value = values.at(-1);
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    throw new FilterProblem(`${name} must be true or false`);
  };
  const filter: FeedFilter = {
    ...given("eventTypes", closed("eventTypes", VISIT_TYPES)),
    ...given("classes", closed("classes", BEHAVIORAL_CLASSES)),
    ...given("isBot", flag("isBot")),
    ...given("botCategories", closed("botCategories", BOT_CATEGORIES)),
    ...given("pages", list("pages")?.map(checkGlob)),
    ...given("sites", list("sites")),
    ...given("devices", closed("devices", DEVICE_TYPES)),
    ...given("min", bounds(raw, "min", dialect)),
    ...given("max", bounds(raw, "max", dialect)),
    ...given("decisionStages", closed<string>("decisionStages", dialect === 2 ? FINE_STAGES : DECISION_STAGES)),
    ...given("emotionalStates", closed<string>("emotionalStates", dialect === 2 ? FINE_EMOTIONS : EMOTIONAL_STATES)),
    ...given("identified", flag("identified")),
    ...given(
      "crossing",
      list("crossing")?.map((item) => readCrossing(item, dialect)),
    ),
    ...given("sample", readSample(raw.get("sample"))),
    ...given("names", list("names")),
  };
  return filter;
}

function given<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  // A computed key widens to string; the shape is exactly the one declared.
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: V });
}

function readList(name: string, values: readonly unknown[]): string[] {
  const items = values.flatMap((value) => {
    if (typeof value !== "string") throw new FilterProblem(`${name} must be a list of strings`);
    return value.split(",").map((item) => item.trim());
  });
  if (items.length === 0 || items.some((item) => item === "")) throw new FilterProblem(`${name} has an empty item`);
  if (items.length > MAX_LIST) throw new FilterProblem(`${name} has more than ${MAX_LIST} items`);
  if (items.some((item) => item.length > MAX_ITEM_CHARS)) throw new FilterProblem(`${name} has an item over ${MAX_ITEM_CHARS} characters`);
  return [...new Set(items)];
}

function checkGlob(pattern: string): string {
  if (pattern.split("*").length - 1 > MAX_STARS) throw new FilterProblem(`pages: more than ${MAX_STARS} stars in one pattern`);
  return pattern;
}

function bounds(
  raw: ReadonlyMap<string, readonly unknown[]>,
  side: "min" | "max",
  dialect: Dialect,
): { [S in NumericScore]?: number } | undefined {
  const found: { [S in NumericScore]?: number } = {};
  let any = false;
  for (const [name, values] of raw) {
    if (!name.startsWith(`${side}.`)) continue;
    const score = scoreName(name.slice(side.length + 1));
    found[score] = readScoreValue(`${side}.${score}`, values.at(-1), score, dialect);
    any = true;
  }
  return any ? found : undefined;
}

function scoreName(text: string): NumericScore {
  const score = NUMERIC_SCORES.find((name) => name === text);
  if (score === undefined) throw new FilterProblem(`${quote(text)} is not a numeric score`);
  return score;
}

function readScoreValue(name: string, value: unknown, score: NumericScore, dialect: Dialect): number {
  const number = readNumber(value);
  const [low, high] = score === "sessionMomentum" ? [-scoreScale(score, dialect), scoreScale(score, dialect)] : [0, 100];
  if (number === undefined || number < low || number > high) throw new FilterProblem(`${name} must be a number from ${low} to ${high}`);
  return number;
}

function readCrossing(item: string, dialect: Dialect): ThresholdCrossing {
  const colon = item.indexOf(":");
  if (colon === -1) throw new FilterProblem("crossing must look like intent:70");
  const score = scoreName(item.slice(0, colon));
  return { score, threshold: readScoreValue("crossing", item.slice(colon + 1), score, dialect) };
}

function readSample(values: readonly unknown[] | undefined): number | undefined {
  if (values === undefined) return undefined;
  const share = readNumber(values.at(-1));
  if (share === undefined || share <= 0 || share > 1) throw new FilterProblem("sample must be a number over 0, at most 1");
  return share;
}

function readNumber(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "string" || !/^-?\d{1,9}(\.\d{1,9})?$/.test(value)) return undefined;
  return Number(value);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}

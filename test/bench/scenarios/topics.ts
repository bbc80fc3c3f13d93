/**
 * Topic extraction in one thread: messages a second of `@headwater/topic-path` on source text, against JSON.parse and a walk over its value,
 * on recorded messages. Both must find the same topics. Where time goes in one message, not what a service does with it.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { parseTopicField, type TopicPath, visitTopics } from "@headwater/topic-path";
import type { BenchContext } from "../support/context.ts";
import { median, ratioOf, type Row } from "../support/report.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");

const CASES: { name: string; file: string; topicField: string; steps: (string | number)[]; batchOf?: number }[] = [
  { name: "Coinbase", file: "packages/standalone/demo/feeds/coinbase.jsonl.gz", topicField: "product_id", steps: ["product_id"] },
  { name: "Kraken", file: "packages/standalone/demo/feeds/kraken.jsonl.gz", topicField: "[-1]", steps: [-1] },
  { name: "Binance futures", file: "test/data/feeds/binance-futures.jsonl.gz", topicField: "data.s", steps: ["data", "s"] },
  { name: "KuCoin", file: "test/data/feeds/kucoin.jsonl.gz", topicField: "data.symbol", steps: ["data", "symbol"] },
  { name: "Wikimedia", file: "test/data/feeds/wikimedia-eventstreams.jsonl.gz", topicField: "meta.domain", steps: ["meta", "domain"] },
  { name: "batches of 50", file: "test/data/feeds/dydx.jsonl.gz", topicField: "id", steps: ["id"], batchOf: 50 },
];

export async function topicsScenario(context: BenchContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const each of CASES) {
    const messages = load(each.file, each.batchOf);
    const parsed = parseTopicField(each.topicField);
    if (!parsed.ok) throw new Error(parsed.reason);
    const ours = (): number => countOurs(parsed.path, messages);
    const baseline = (): number => countBaseline(each.steps, messages);
    const topics = ours();
    if (topics !== baseline()) throw new Error(`${each.name}: ${topics} topics here, ${baseline()} in the baseline`);
    const seconds = Math.min(context.seconds, 2);
    const pairs = Array.from({ length: context.pairs }, (): [number, number] => [
      rate(ours, messages.length, seconds),
      rate(baseline, messages.length, seconds),
    ]);
    const { ratio, warnings } = ratioOf(pairs);
    const bytes = messages.reduce((sum, message) => sum + message.length, 0) / messages.length;
    rows.push({
      scenario: `topic of a message, ${each.name} by ${each.topicField}, against JSON.parse and a walk`,
      unit: "messages/s",
      value: median(pairs.map(([value]) => value)),
      baseline: median(pairs.map(([, value]) => value)),
      ratio,
      target: "informs",
      warnings,
      details: { messages: messages.length, meanChars: Math.round(bytes), topics },
    });
    context.log(`topics ${each.name}: ratio ${ratio.median.toFixed(2)} at ${Math.round(bytes)} characters a message`);
  }
  return rows;
}

function load(file: string, batchOf: number | undefined): string[] {
  const messages = gunzipSync(readFileSync(path.join(ROOT, file)))
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { dir: string; raw: string })
    .filter((line) => line.dir === "in")
    .map((line) => line.raw);
  if (batchOf === undefined) return messages;
  return Array.from(
    { length: Math.ceil(messages.length / batchOf) },
    (_, i) => `[${messages.slice(i * batchOf, (i + 1) * batchOf).join(",")}]`,
  );
}

function rate(run: () => number, messages: number, seconds: number): number {
  const begin = performance.now();
  let done = 0;
  while (performance.now() - begin < seconds * 1_000) {
    run();
    done += messages;
  }
  return done / ((performance.now() - begin) / 1_000);
}

function countOurs(field: TopicPath, messages: readonly string[]): number {
  let topics = 0;
  for (const message of messages) {
    visitTopics(field, message, (found) => {
      if ("topic" in found) topics++;
      return true;
    });
  }
  return topics;
}

function countBaseline(steps: readonly (string | number)[], messages: readonly string[]): number {
  let topics = 0;
  for (const message of messages) {
    const value: unknown = JSON.parse(message);
    const entries = Array.isArray(value) && typeof steps[0] === "string" ? (value as unknown[]) : [value];
    for (const entry of entries) if (topicOf(walk(entry, steps)) !== undefined) topics++;
  }
  return topics;
}

function walk(root: unknown, steps: readonly (string | number)[]): unknown {
  let current = root;
  for (const step of steps) {
    if (typeof step === "number") {
      if (!Array.isArray(current)) return undefined;
      current = current.at(step);
    } else {
      if (typeof current !== "object" || current === null || Array.isArray(current) || !Object.hasOwn(current, step)) return undefined;
      current = (current as Record<string, unknown>)[step];
    }
  }
  return current;
}

function topicOf(value: unknown): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" && value.length <= 256 && !/\p{Cc}/u.test(value) ? value : undefined;
}

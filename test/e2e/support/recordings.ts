/**
 * Recorded upstream messages and what must become of them: an evaluation of topics that shares no code with the product. It parses JSON and
 * walks, which is enough for recordings whose topics are strings and small numbers. Reads test/data and the demo's recordings.
 */
import fs from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { projectRoot } from "../../support/npm-start.ts";

export interface Recording {
  provider: string;
  /** Which field a user of this provider would choose. */
  topicField: string;
  /** The field as steps: a name, or a position, negative from the end. */
  steps: readonly (string | number)[];
  /** What the upstream sends: text, or a binary frame as it came. */
  frames: (string | Buffer)[];
  /** The JSON text of each frame. */
  texts: string[];
}

const CHOICES: readonly [provider: string, topicField: string, steps: readonly (string | number)[]][] = [
  ["coinbase", "product_id", ["product_id"]],
  ["kraken", "[-1]", [-1]],
  ["binance", "stream", ["stream"]],
  ["bitfinex", "[0]", [0]],
  ["bitstamp", "channel", ["channel"]],
  ["bybit", "topic", ["topic"]],
  ["okx", "arg.instId", ["arg", "instId"]],
  ["kucoin", "topic", ["topic"]],
  ["gateio", "channel", ["channel"]],
  ["htx-swap", "ch", ["ch"]],
  ["upbit", "cd", ["cd"]],
  ["dydx", "id", ["id"]],
  ["wikimedia-eventstreams", "meta.domain", ["meta", "domain"]],
  ["ripe-ris-live", "data.path[-1]", ["data", "path", -1]],
];

/** The first `limit` messages of every provider. */
export function loadRecordings(limit: number): Recording[] {
  return CHOICES.map(([provider, topicField, steps]) => {
    const rows = rowsOf(provider).slice(0, limit);
    return {
      provider,
      topicField,
      steps,
      frames: rows.map((row) => (row.frame === "text" ? row.raw : row.wire ? Buffer.from(row.wire, "base64") : Buffer.from(row.raw))),
      texts: rows.map((row) => row.raw),
    };
  });
}

interface Row {
  dir: "in" | "out";
  frame: "text" | "binary";
  raw: string;
  wire?: string;
}

function rowsOf(provider: string): Row[] {
  const folder = ["coinbase", "kraken"].includes(provider) ? "packages/standalone/demo/feeds" : "test/data/feeds";
  const file = fs.readFileSync(path.join(projectRoot, folder, `${provider}.jsonl.gz`));
  return gunzipSync(file)
    .toString("utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row)
    .filter((row) => row.dir === "in");
}

/** Topic → source texts in order. A message that is an array, under a field that begins with a name, is a batch of its elements. */
export function expectedTopics(texts: readonly string[], steps: readonly (string | number)[]): Map<string, unknown[]> {
  const byTopic = new Map<string, unknown[]>();
  for (const text of texts) {
    const message: unknown = JSON.parse(text);
    const items: unknown[] = Array.isArray(message) && typeof steps[0] === "string" ? message : [message];
    for (const item of items) {
      const topic = topicOf(item, steps);
      if (topic === undefined) continue;
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), item]);
    }
  }
  return byTopic;
}

function topicOf(message: unknown, steps: readonly (string | number)[]): string | undefined {
  let at = message;
  for (const step of steps) {
    if (typeof step === "number") at = Array.isArray(at) ? at.at(step) : undefined;
    else at = isRecord(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  }
  if (typeof at === "number" || typeof at === "boolean") return String(at);
  return typeof at === "string" && at !== "" && Buffer.byteLength(at) <= 256 ? at : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

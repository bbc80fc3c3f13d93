/** The recorded upstream messages of the demo (demo/README.md): what came in, in order, with the time since the first. Reads its two files only. */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../demo/feeds");

export const RECORDINGS = ["coinbase", "kraken"] as const;
export type RecordingName = (typeof RECORDINGS)[number];

export interface RecordedMessage {
  /** ms since the first message. */
  atMs: number;
  text: string;
}

export function loadRecording(name: RecordingName): RecordedMessage[] {
  return parseRecording(gunzipSync(fs.readFileSync(path.join(folder, `${name}.jsonl.gz`))).toString("utf8"));
}

/** Several connections of a recording become one, in the order of receipt. */
export function parseRecording(lines: string): RecordedMessage[] {
  const rows = lines
    .trim()
    .split("\n")
    // Our own file: the shape is in demo/README.md.
    .map((line) => JSON.parse(line) as { dir: "in" | "out"; t: number; raw: string })
    .filter((row) => row.dir === "in")
    .toSorted((a, b) => a.t - b.t);
  const begin = rows[0]?.t ?? 0;
  return rows.map((row) => ({ atMs: Math.round((row.t - begin) * 1000), text: row.raw }));
}

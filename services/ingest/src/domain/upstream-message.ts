/**
 * Text of an upstream → messages of the log. Never throws; what cannot be a message is counted by reason. Pure.
 * Tests: upstream-text.test.ts.
 */
import { type FeedRecord, oneLine } from "@headwater/protocol";
import { readJsonText } from "./json-text.ts";

/** `json`: source text of one value on one line, not `null`. `elements`: how many, of an array. */
export type UpstreamMessage = { kind: "json" | "text"; text: string; elements?: number };

/** Why something an upstream sent is not in the log. Keys of `FeedState.dropped` and of metrics. */
export const DROP_REASONS = [
  /** Over the plan's messages or bytes a second. */
  "rate",
  /** Larger than a message may be, as received or unpacked. */
  "size",
  /** Empty, white space or `null`. */
  "empty",
  /** Not what the feed's data format says. */
  "undecodable",
  /** Polling: the same answer as before. */
  "duplicate",
  /** Polling: nothing at `dataPath`. */
  "path",
  /** The queue to the log is full. */
  "log_full",
  /** The log cannot be written. */
  "log_away",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface Decoded {
  messages: UpstreamMessage[];
  /** One entry per thing that was dropped. */
  dropped: DropReason[];
}

/** A frame of lines or rows may hold this many; what follows is one drop. */
export const MAX_MESSAGES_PER_FRAME = 10_000;

/** One JSON value, or text when it is not JSON. */
export function jsonOrText(text: string, into: Decoded): void {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "null") return void into.dropped.push("empty");
  const json = readJsonText(trimmed);
  // Not JSON is no fault here: the contract makes it a text message.
  if (json === undefined) into.messages.push({ kind: "text", text });
  else into.messages.push({ kind: "json", text: oneLine(trimmed), ...(json.elements === undefined ? {} : { elements: json.elements }) });
}

/** Messages that readers get of it: routing takes an array apart under a topic field that begins with a name. */
export function messagesIn({ elements = 1 }: UpstreamMessage, feed: Pick<FeedRecord, "enableTopicRouting" | "topicField">): number {
  const { topicField } = feed;
  const isTakenApart = feed.enableTopicRouting && topicField !== undefined && !topicField.trim().startsWith("[");
  return isTakenApart ? Math.max(1, elements) : 1;
}

export function plainText(text: string, into: Decoded): void {
  if (text.trim() === "") into.dropped.push("empty");
  else into.messages.push({ kind: "text", text });
}

/** Each line a message of its own; blank lines separate and are no messages. */
export function jsonLines(text: string, into: Decoded): void {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return void into.dropped.push("empty");
  for (const line of lines.slice(0, MAX_MESSAGES_PER_FRAME)) jsonOrText(line.endsWith("\r") ? line.slice(0, -1) : line, into);
  if (lines.length > MAX_MESSAGES_PER_FRAME) into.dropped.push("size");
}

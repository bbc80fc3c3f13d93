/**
 * Messages of upstream feeds in the log: one NDJSON line each in `feeds.<lane>` (key: feed id), written by ingest and folded by routing, and
 * the wire lines routing makes of them for `topics.<lane>`. Upstream JSON travels as its own source text, never re-serialised, so numbers
 * beyond 2^53 stay exact. Vectors: vectors/feed-log.json; tests: feed-log.test.ts.
 */
import { z } from "zod";

export const FEED_STATUSES = ["connecting", "connected", "reconnecting", "stopped", "error"] as const;
export type FeedStatus = (typeof FEED_STATUSES)[number];

/** State of an upstream connection, logged in order with the messages. */
export const FeedState = z.object({
  status: z.enum(FEED_STATUSES),
  error: z.string().optional(),
  attempt: z.number().int().optional(),
  /** Messages of this connection's feed dropped so far under this epoch, by reason (`rate`, `size`, `empty`, `undecodable`, `log_full`, …). */
  dropped: z.record(z.string(), z.number().int()).optional(),
});
export type FeedState = z.infer<typeof FeedState>;

export interface FeedLineHeader {
  feedId: string;
  /** Epoch of the upstream lane's lease: a line of a lower one comes from a writer that was replaced. */
  epoch: number;
  /** Counts the lines of one feed under one epoch from 1: a repeated or reordered one is dropped. */
  n: number;
  /** Receive time, ms. */
  ts: number;
  /** Only when it differs from the feed's own. */
  eventName?: string;
}

export type FeedLine = FeedLineHeader &
  /** `json`: source text of one JSON value, not `null`, free of line breaks. `text`: anything that was not JSON. */
  ({ kind: "json"; json: string } | { kind: "text"; text: string } | { kind: "state"; state: FeedState });

/** A line break inside valid JSON text is white space, because strings cannot hold one. */
export function oneLine(json: string): string {
  return json.includes("\n") || json.includes("\r") ? json.replace(/[\r\n]+/g, " ") : json;
}

export function encodeFeedLine(line: FeedLine): string {
  const name = line.eventName === undefined ? "" : `,"v":${JSON.stringify(line.eventName)}`;
  const head = `{"f":${JSON.stringify(line.feedId)},"e":${line.epoch},"n":${line.n},"t":${line.ts}${name},`;
  if (line.kind === "json") return `${head}"j":${line.json}}`;
  if (line.kind === "text") return `${head}"x":${JSON.stringify(line.text)}}`;
  return `${head}"s":${JSON.stringify(line.state)}}`;
}

const HEAD = /^\{"f":"([^"\\]{1,64})","e":(\d{1,16}),"n":(\d{1,16}),"t":(\d{1,16})(?:,"v":("(?:[^"\\]|\\.)*"))?,"([jxs])":/;

/** The payload's JSON is cut out, not parsed: its writer has checked it. @throws SyntaxError for anything `encodeFeedLine` does not write. */
export function decodeFeedLine(line: string): FeedLine {
  const match = HEAD.exec(line);
  if (!match || !line.endsWith("}")) throw new SyntaxError("not a feed line");
  const [head, feedId = "", epoch, n, ts, eventName, kind] = match;
  const header: FeedLineHeader = {
    feedId,
    epoch: Number(epoch),
    n: Number(n),
    ts: Number(ts),
    ...(eventName === undefined ? {} : { eventName: JSON.parse(eventName) as string }),
  };
  const body = line.slice(head.length, -1);
  if (kind === "j") return { ...header, kind: "json", json: body };
  // Our own encoder wrote both; the casts only name what it writes.
  if (kind === "x") return { ...header, kind: "text", text: JSON.parse(body) as string };
  return { ...header, kind: "state", state: JSON.parse(body) as FeedState };
}

/**
 * Routing keys of frames in `topics.<lane>`; an edge has one entry per key somebody listens to.
 * Feed ids hold none of `:`, `?` and `!`, so the four kinds cannot meet.
 */
export const feedKeys = {
  /** Raw data of a plain feed. */
  data: (feedId: string): string => feedId,
  /** Messages of one topic. */
  topic: (feedId: string, topic: string): string => `${feedId}:${topic}`,
  /** Answers about a feed for everyone who listens to its intelligence (`llm-broadcast`). */
  llm: (feedId: string): string => `${feedId}?`,
  /** `feed-status` of a feed: everyone who listens to anything of it. In presence: somebody listens to anything of it. */
  control: (feedId: string): string => `${feedId}!`,
} as const;

export type ParsedFeedKey = { kind: "data" | "llm" | "control"; feedId: string } | { kind: "topic"; feedId: string; topic: string };

export function parseFeedKey(key: string): ParsedFeedKey {
  const colon = key.indexOf(":");
  if (colon !== -1) return { kind: "topic", feedId: key.slice(0, colon), topic: key.slice(colon + 1) };
  if (key.endsWith("?")) return { kind: "llm", feedId: key.slice(0, -1) };
  return key.endsWith("!") ? { kind: "control", feedId: key.slice(0, -1) } : { kind: "data", feedId: key };
}

/** `ext` line of TOPICS. */
export const TopicExt = z.object({
  /** Index into the header's keys. */
  k: z.number().int(),
  /** Receive time of the upstream message, ms. */
  ts: z.number().int(),
  /** Position of the message in `feeds.<lane>`: stream sequence, line. */
  p: z.tuple([z.number().int(), z.number().int()]),
});
export type TopicExt = z.infer<typeof TopicExt>;

/** The contract's default frames. `data` is JSON source text. */
export const topicWire = {
  feedData: (m: { feedId: string; feedName: string; eventName: string; data: string; ts: number }): string =>
    `{"type":"feed-data","payload":{"feedId":${JSON.stringify(m.feedId)},"feedName":${JSON.stringify(m.feedName)},"eventName":${JSON.stringify(m.eventName)},"data":${m.data},"timestamp":"${new Date(m.ts).toISOString()}"}}`,
  topicData: (m: { feedId: string; topic: string; data: string; ts: number }): string =>
    `{"type":"topic-data","payload":{"feedId":${JSON.stringify(m.feedId)},"topic":${JSON.stringify(m.topic)},"data":${m.data},"timestamp":"${new Date(m.ts).toISOString()}"}}`,
  feedStatus: (m: { feedId: string; status: FeedStatus; error?: string | undefined; attempt?: number | undefined }): string =>
    JSON.stringify({ type: "feed-status", payload: { feedId: m.feedId, status: m.status, error: m.error, attempt: m.attempt } }),
} as const;

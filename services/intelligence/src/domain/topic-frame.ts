/**
 * Messages out of the frames of TOPICS: the upstream's own JSON text is cut out of the wire line, never parsed, so numbers stay exact.
 * Pure. Tests: topic-frame.test.ts.
 */
import { type FrameHeader, frameLineRanges, parseFeedKey } from "@headwater/protocol";

export interface TopicMessage {
  feedId: string;
  /** Undefined: a message of a plain feed. */
  topic: string | undefined;
  /** Receive time, ms. */
  ts: number;
  json: string;
}

/** `,"timestamp":"2026-01-30T15:45:30.123Z"}}` */
const TAIL_CHARS = `,"timestamp":"2026-01-30T15:45:30.123Z"}}`.length;
const DATA_HEAD =
  /^\{"type":"feed-data","payload":\{"feedId":"(?:[^"\\]|\\.)*","feedName":"(?:[^"\\]|\\.)*","eventName":"(?:[^"\\]|\\.)*","data":/;

const decoder = new TextDecoder();

/** In order; states of connections are left out. @throws RangeError, SyntaxError for a damaged frame. */
export function messagesOf(header: FrameHeader, body: Uint8Array): TopicMessage[] {
  const ranges = frameLineRanges(body, header.n);
  const keys = header.keys.map(parseFeedKey);
  const messages: TopicMessage[] = [];
  for (let i = 0; i < header.n; i++) {
    const [from = 0, to = 0, extFrom = 0, extTo = 0] = ranges.subarray(i * 4, i * 4 + 4);
    const ext = placeOf(decoder.decode(body.subarray(extFrom, extTo)));
    const key = keys[ext.k];
    if (key === undefined) throw new RangeError(`no key ${ext.k}`);
    if (key.kind !== "topic" && key.kind !== "data") continue;
    const wire = decoder.decode(body.subarray(from, to));
    const head = key.kind === "topic" ? topicHead(key.feedId, key.topic) : (DATA_HEAD.exec(wire)?.[0] ?? "no head");
    if (!wire.startsWith(head) || !wire.endsWith('"}}')) throw new SyntaxError("not a line of TOPICS");
    messages.push({
      feedId: key.feedId,
      topic: key.kind === "topic" ? key.topic : undefined,
      ts: ext.ts,
      json: wire.slice(head.length, -TAIL_CHARS),
    });
  }
  return messages;
}

/** Checked by hand: this runs for every message of every feed. */
function placeOf(text: string): { k: number; ts: number } {
  const ext: unknown = JSON.parse(text);
  if (typeof ext !== "object" || ext === null || !("k" in ext) || !("ts" in ext)) throw new SyntaxError("not an ext line of TOPICS");
  const { k, ts } = ext;
  if (typeof k !== "number" || typeof ts !== "number" || !Number.isFinite(ts)) throw new SyntaxError("not an ext line of TOPICS");
  return { k, ts };
}

function topicHead(feedId: string, topic: string): string {
  return `{"type":"topic-data","payload":{"feedId":${JSON.stringify(feedId)},"topic":${JSON.stringify(topic)},"data":`;
}

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
const TAIL_BYTES = `,"timestamp":"2026-01-30T15:45:30.123Z"}}`.length;
const DATA_HEAD =
  /^\{"type":"feed-data","payload":\{"feedId":"(?:[^"\\]|\\.)*","feedName":"(?:[^"\\]|\\.)*","eventName":"(?:[^"\\]|\\.)*","data":/;

const LINE_END = Buffer.from('"}}');

/** In order; states of connections are left out. @throws RangeError, SyntaxError for a damaged frame. */
export function messagesOf(header: FrameHeader, body: Uint8Array): TopicMessage[] {
  const ranges = frameLineRanges(body, header.n);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const keys = header.keys.map(readKey);
  const messages: TopicMessage[] = [];
  for (let i = 0; i < ranges.length; i += 4) {
    const ext = readExt(bytes, ranges[i + 2] ?? 0, ranges[i + 3] ?? 0);
    const key = keys[ext.k];
    if (key === undefined) throw new RangeError(`no key ${ext.k}`);
    if (!key.isData) continue;
    const [from, to] = [ranges[i] ?? 0, ranges[i + 1] ?? 0];
    const begin = from + (key.head === undefined ? dataHeadBytes(bytes, from, to) : headBytes(bytes, from, key.head));
    const end = to - TAIL_BYTES;
    if (begin > end || bytes.compare(LINE_END, 0, LINE_END.length, to - LINE_END.length, to) !== 0) throw notALine();
    // A text of its own: what is kept of a message must not keep its frame.
    messages.push({ feedId: key.feedId, topic: key.topic, ts: ext.ts, json: bytes.toString("utf8", begin, end) });
  }
  return messages;
}

interface Key {
  isData: boolean;
  feedId: string;
  topic: string | undefined;
  /** What every line of a topic begins with; lines of a plain feed also hold names. */
  head: Buffer | undefined;
}

function readKey(text: string): Key {
  const key = parseFeedKey(text);
  if (key.kind !== "topic") return { isData: key.kind === "data", feedId: key.feedId, topic: undefined, head: undefined };
  return { isData: true, feedId: key.feedId, topic: key.topic, head: Buffer.from(topicHead(key.feedId, key.topic)) };
}

function headBytes(bytes: Buffer, from: number, head: Buffer): number {
  if (from + head.length > bytes.length || bytes.compare(head, 0, head.length, from, from + head.length) !== 0) throw notALine();
  return head.length;
}

function dataHeadBytes(bytes: Buffer, from: number, to: number): number {
  const head = DATA_HEAD.exec(bytes.toString("utf8", from, to))?.[0];
  if (head === undefined) throw notALine();
  return Buffer.byteLength(head);
}

function notALine(): SyntaxError {
  return new SyntaxError("not a line of TOPICS");
}

const EXT_KEY = Buffer.from('{"k":');
const EXT_TIME = Buffer.from(',"ts":');
const COMMA = 0x2c;
const CLOSE = 0x7d;

/** Read from the bytes as routing writes them: this runs for every message of every feed. Written in any other way, it is parsed. */
function readExt(bytes: Buffer, from: number, to: number): { k: number; ts: number } {
  const k = numberBehind(bytes, from, EXT_KEY);
  const ts = k && numberBehind(bytes, k.end, EXT_TIME);
  if (!k || !ts || ts.end >= to || bytes[ts.end] !== COMMA || bytes[to - 1] !== CLOSE) return parseExt(bytes.toString("utf8", from, to));
  return { k: k.value, ts: ts.value };
}

/** The digits that stand behind `name` at `at`, if they do. */
function numberBehind(bytes: Buffer, at: number, name: Buffer): { value: number; end: number } | undefined {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return undefined;
  const begin = at + name.length;
  let value = 0;
  let end = begin;
  for (let digit = bytes[end] ?? 0; digit >= 0x30 && digit <= 0x39; digit = bytes[++end] ?? 0) value = value * 10 + digit - 0x30;
  return end === begin ? undefined : { value, end };
}

function parseExt(text: string): { k: number; ts: number } {
  const ext: unknown = JSON.parse(text);
  if (typeof ext !== "object" || ext === null || !("k" in ext) || !("ts" in ext)) throw new SyntaxError("not an ext line of TOPICS");
  const { k, ts } = ext;
  if (typeof k !== "number" || typeof ts !== "number" || !Number.isFinite(ts)) throw new SyntaxError("not an ext line of TOPICS");
  return { k, ts };
}

function topicHead(feedId: string, topic: string): string {
  return `{"type":"topic-data","payload":{"feedId":${JSON.stringify(feedId)},"topic":${JSON.stringify(topic)},"data":`;
}

/**
 * Stored messages → events a person can read: frames into their outputs, NDJSON into its lines, registry and privacy records as they are.
 * What cannot be decoded is shown as such, never hidden. Pure. Tests: decode.test.ts.
 */
import { decodeFeedLine, decodeFrameHeader, type FrameHeader, frameLineRanges, OUTPUT_FAMILIES, parseSubject } from "@headwater/protocol";

export interface TapEvent {
  subject: string;
  /** Sequence in its stream. */
  seq: number;
  /** When the broker stored it, ms. */
  timeMs: number;
  kind: "labeled" | "visit" | "feed_message" | "feed_frame" | "registry" | "privacy" | "socket_session" | "dead_letter" | "undecodable";
  tenantId?: string;
  siteId?: string;
  visitorId?: string;
  feedId?: string;
  topic?: string;
  /** Event type, message type of a feed frame, or the type of a registry record. */
  type?: string;
  class?: string;
  page?: string;
  /** The event itself, parsed. */
  body: unknown;
  /** Labeled events: what a default frame does not show. */
  ext?: unknown;
  /** Labeled events: position of the frame, without its outputs. */
  frame?: Pick<FrameHeader, "epoch" | "in" | "reg">;
  /** Why a message could not be decoded. */
  problem?: string;
}

interface Stored {
  subject: string;
  seq: number;
  timeMs: number;
  data: Uint8Array;
}

const decoder = new TextDecoder();

/** Outputs of a position-only frame: none. Order is that of the message. */
export function decodeStored(message: Stored): TapEvent[] {
  const parsed = parseSubject(message.subject);
  if (parsed.kind === "lane" && OUTPUT_FAMILIES.some((family) => family === parsed.family)) return fromFrame(message);
  const lines = decoder
    .decode(message.data)
    .split("\n")
    .filter((line) => line !== "");
  return lines.map((line) => fromLine(message, line, parsed));
}

function fromFrame(message: Stored): TapEvent[] {
  const frame = decodeFrameHeader(message.data);
  if (!frame.ok) return [undecodable(message, frame.reason, message.data)];
  const { header, body } = frame;
  let ranges: Int32Array;
  try {
    ranges = frameLineRanges(body, header.n);
  } catch (error) {
    return [undecodable(message, error instanceof Error ? error.message : "broken frame", message.data)];
  }
  return Array.from({ length: header.n }, (_, i) => {
    const wire = parseObject(decoder.decode(body.subarray(ranges[i * 4] ?? 0, ranges[i * 4 + 1] ?? 0)));
    const ext = parseObject(decoder.decode(body.subarray(ranges[i * 4 + 2] ?? 0, ranges[i * 4 + 3] ?? 0)));
    if (!wire || !ext) return undecodable(message, `output ${i} of the frame is not JSON`, new Uint8Array(0));
    const index = ext["k"];
    if (header.family !== "signals") {
      const payload = isRecord(wire["payload"]) ? wire["payload"] : {};
      return {
        ...base(message, "feed_frame"),
        ...optional("feedId", payload["feedId"]),
        ...optional("topic", payload["topic"]),
        ...optional("type", wire["type"]),
        body: wire,
        ext,
        frame: { epoch: header.epoch, in: header.in, reg: header.reg },
      };
    }
    return {
      ...base(message, "labeled"),
      ...optional("tenantId", typeof index === "number" ? header.keys[index] : undefined),
      ...optional("siteId", ext["s"]),
      ...optional("visitorId", wire["visitorId"]),
      ...optional("type", wire["eventType"]),
      ...optional("class", wire["behavioralClass"]),
      ...optional("page", wire["page"]),
      body: wire,
      ext,
      frame: { epoch: header.epoch, in: header.in, reg: header.reg },
    };
  });
}

function fromLine(message: Stored, line: string, parsed: ReturnType<typeof parseSubject>): TapEvent {
  const body = parseObject(line);
  if (!body) return undecodable(message, "not a JSON object", message.data);
  switch (parsed.kind) {
    case "registry": {
      const data = typeof body["data"] === "object" && body["data"] !== null ? (body["data"] as Record<string, unknown>) : {};
      const tenantId = parsed.aggregate === "tenant" ? parsed.id : data["tenantId"];
      return { ...base(message, "registry"), ...optional("tenantId", tenantId), ...optional("type", body["type"]), body };
    }
    case "socket_session":
      return { ...base(message, "socket_session"), body };
    case "dead_letter":
      return { ...base(message, "dead_letter"), ...optional("type", body["reason"]), body };
    case "lane": {
      if (parsed.family === "feeds") return fromFeedLine(message, line, body);
      const isVisit = parsed.family === "visits";
      return {
        ...base(message, isVisit ? "visit" : "privacy"),
        ...optional("tenantId", body["tenantId"]),
        ...optional("siteId", body["siteId"]),
        ...optional("visitorId", body["visitorId"]),
        ...optional("type", isVisit ? (body["type"] ?? body["kind"]) : (body["kind"] ?? body["source"])),
        ...optional("page", body["path"]),
        body,
      };
    }
    case "unknown":
      return undecodable(message, "a subject this version does not know", message.data);
  }
}

/** Type is `json`, `text` or the status of a connection. */
function fromFeedLine(message: Stored, line: string, body: Record<string, unknown>): TapEvent {
  try {
    const decoded = decodeFeedLine(line);
    const type = decoded.kind === "state" ? decoded.state.status : decoded.kind;
    return { ...base(message, "feed_message"), feedId: decoded.feedId, type, body };
  } catch {
    return undecodable(message, "not a line of a feed", message.data);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function base(message: Stored, kind: TapEvent["kind"]): Pick<TapEvent, "subject" | "seq" | "timeMs" | "kind"> {
  return { subject: message.subject, seq: message.seq, timeMs: message.timeMs, kind };
}

function undecodable(message: Stored, problem: string, data: Uint8Array): TapEvent {
  return { ...base(message, "undecodable"), problem, body: decoder.decode(data.subarray(0, 1_000)) };
}

function optional<const K extends string>(name: K, value: unknown): { [P in K]?: string } {
  // The computed name is exactly K.
  return (typeof value === "string" ? { [name]: value } : {}) as { [P in K]?: string };
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined; // the caller shows it as undecodable
  }
}

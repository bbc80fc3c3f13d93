/**
 * One line of an upstream feed → wire lines for its readers, and what routing remembers of it. Pure and deterministic: everything it needs
 * is an argument. Messages that have no topic go to nobody; they are counted by reason and their places kept. Tests: topic-fold.test.ts.
 */
import { type FeedLine, feedKeys, type FeedState, topicWire } from "@headwater/protocol";
import { type NoTopicReason, type Topic, visitTopics } from "@headwater/topic-path";
import type { FeedRouting } from "./topic-config.ts";
import { countUnrouted, type FeedFoldState, type LogPlace, rememberMessage, rememberUnrouted, touchTopic } from "./topic-state.ts";

/**
 * Why a message went to nobody. Besides what can be wrong with a value: `no_topic_field` (routing is on, the field is not usable),
 * `empty_batch`, `too_large` (the outputs of one message would not fit one frame).
 */
export type UnroutedReason = NoTopicReason | "no_topic_field" | "empty_batch" | "too_large";

export interface FoldSink {
  emit(routingKey: string, wire: string, ext: { k: number; ts: number; p: [seq: number, index: number] }): void;
  /** Counts only; called during replay as well. */
  count(what: "stale" | "state" | "message" | "routed" | "evicted" | `unrouted:${UnroutedReason}`, by: number): void;
}

export interface FoldLimits {
  maxTopics: number;
  /** Outputs of one line together, bytes; at least 4 MiB. */
  maxOutputBytes: number;
}

/** A message up to this length cannot put out 4 MiB: even elements of eight characters grow less than fortyfold. */
const SMALL_MESSAGE_CHARS = 64 * 1024;
/** Ext line and separators of an output. */
const OUTPUT_OVERHEAD_BYTES = 128;

export function foldFeedLine(
  state: FeedFoldState,
  line: FeedLine,
  routing: FeedRouting,
  place: LogPlace,
  limits: FoldLimits,
  sink: FoldSink,
): void {
  // From a writer that was replaced, or stored twice.
  if (line.epoch < state.epoch || (line.epoch === state.epoch && line.n <= state.n)) return sink.count("stale", 1);
  state.epoch = line.epoch;
  state.n = line.n;
  if (line.kind === "state") return foldState(state, line, line.state, routing, place, sink);
  sink.count("message", 1);
  rememberMessage(state, { seq: place.seq, index: place.index, ts: line.ts }, routing.bufferTtlMs);
  const json = line.kind === "json" ? line.json : JSON.stringify(line.text);
  const out = outlet(json, line, place, limits, sink);
  const outcome = routing.isRouted ? routeMessage(state, json, line, routing, limits, out, sink) : sendPlain(json, line, routing, out);
  for (const [reason, count] of outcome.unrouted) {
    countUnrouted(state, reason, count);
    sink.count(`unrouted:${reason}`, count);
  }
  if (outcome.first !== undefined) {
    rememberUnrouted(state, { seq: place.seq, index: place.index, ts: line.ts, ...outcome.first });
  }
  state.routed += outcome.routed;
  if (outcome.routed > 0) sink.count("routed", outcome.routed);
}

interface Outcome {
  routed: number;
  unrouted: Map<UnroutedReason, number>;
  first?: { reason: UnroutedReason; element?: number };
}

interface Outlet {
  /** An output did not fit the line's frame: what follows is not even made, so that a frame of tiny elements costs its scan alone. */
  isFull: boolean;
  /** False for the output that would not fit. */
  send(routingKey: string, wire: string): boolean;
}

function outlet(json: string, line: FeedLine, place: LogPlace, limits: FoldLimits, sink: FoldSink): Outlet {
  let bytes = 0;
  const out: Outlet = {
    isFull: false,
    send(routingKey, wire) {
      if (json.length > SMALL_MESSAGE_CHARS) {
        // The key stands in the frame's header, where quotes are escaped.
        bytes += utf8Length(wire) + 2 * utf8Length(routingKey) + OUTPUT_OVERHEAD_BYTES;
        out.isFull = bytes > limits.maxOutputBytes;
      }
      if (!out.isFull) sink.emit(routingKey, wire, { k: 0, ts: line.ts, p: [place.seq, place.index] });
      return !out.isFull;
    },
  };
  return out;
}

function foldState(state: FeedFoldState, line: FeedLine, next: FeedState, routing: FeedRouting, place: LogPlace, sink: FoldSink): void {
  const before = state.connection;
  state.connection = next;
  sink.count("state", 1);
  // Drop counts are told again and again; readers hear of a change only.
  if (before?.status === next.status && before.error === next.error && before.attempt === next.attempt) return;
  const { status, error, attempt } = next;
  const wire = topicWire.feedStatus({ feedId: routing.feedId, status, error, attempt });
  sink.emit(feedKeys.control(routing.feedId), wire, { k: 0, ts: line.ts, p: [place.seq, place.index] });
}

function sendPlain(json: string, line: FeedLine, routing: FeedRouting, out: Outlet): Outcome {
  const { feedId, name: feedName } = routing;
  const wire = topicWire.feedData({ feedId, feedName, eventName: line.eventName ?? routing.eventName, data: json, ts: line.ts });
  return out.send(feedKeys.data(feedId), wire) ? { routed: 1, unrouted: new Map() } : nothing("too_large");
}

function routeMessage(
  state: FeedFoldState,
  json: string,
  line: FeedLine,
  routing: FeedRouting,
  limits: FoldLimits,
  out: Outlet,
  sink: FoldSink,
): Outcome {
  if (routing.path === undefined) return nothing("no_topic_field");
  const { feedId } = routing;
  const outcome: Outcome = { routed: 0, unrouted: new Map() };
  let element = 0;
  visitTopics(routing.path, json, (found: Topic, start, end) => {
    let reason: UnroutedReason | undefined;
    if ("reason" in found) reason = found.reason;
    else if (out.isFull) reason = "too_large";
    else {
      const data = start === 0 && end === json.length ? json : json.slice(start, end);
      if (out.send(feedKeys.topic(feedId, found.topic), topicWire.topicData({ feedId, topic: found.topic, data, ts: line.ts }))) {
        outcome.routed++;
        const evicted = touchTopic(state, found.topic, line.ts, limits.maxTopics);
        if (evicted > 0) sink.count("evicted", evicted);
      } else reason = "too_large";
    }
    if (reason !== undefined) {
      outcome.unrouted.set(reason, (outcome.unrouted.get(reason) ?? 0) + 1);
      const isElement = start > 0 || end < json.length;
      outcome.first ??= { reason, ...(isElement ? { element } : {}) };
    }
    element++;
    return true;
  });
  return element === 0 ? nothing("empty_batch") : outcome;
}

const nothing = (reason: UnroutedReason): Outcome => ({ routed: 0, unrouted: new Map([[reason, 1]]), first: { reason } });

function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Half a surrogate pair counts as three bytes: an upper bound of both a pair and a lone one.
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
  }
  return bytes;
}

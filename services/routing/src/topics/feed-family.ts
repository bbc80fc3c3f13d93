/**
 * The lane family `feeds`: how lines of upstream feeds become lines of topics. Glue between the pure fold in `domain/` and the lane
 * engine. Tests: feed-family.test.ts, topic-lanes.int.test.ts.
 */
import type { Decoded, LaneFamily } from "@headwater/lanes";
import { decodeFeedLine, type FeedLine } from "@headwater/protocol";
import { foldFeedLine, type FoldLimits, type FoldSink } from "../domain/topic-fold.ts";
import { deserializeFeedState, feedStateBytes, type FeedFoldState, newFeedState, serializeFeedState } from "../domain/topic-state.ts";
import type { FeedConfigs } from "./feed-configs.ts";

export const FEEDS_GENERATION = "g1";
/** Raise when the stored shape of FeedFoldState changes, and upcast in `deserialize`. */
const STATE_SCHEMA = 1;

export interface FeedFamilyOptions extends FoldLimits {
  /** Counts only; called during replay as well. `unknown`: no such feed (any more). */
  onCount(what: Parameters<FoldSink["count"]>[0] | "unknown", by: number): void;
  /** A message of the feed was folded. */
  onMessage(feedId: string, ts: number): void;
}

export function feedFamily(options: FeedFamilyOptions): LaneFamily<FeedLine, FeedFoldState, FeedConfigs> {
  return {
    family: "feeds",
    gen: FEEDS_GENERATION,
    input: "feeds",
    output: "topics",
    outputStream: "TOPICS",
    service: "routing",
    isInputLossy: true,
    schema: STATE_SCHEMA,
    decode: decodeFeedLines,
    keysOf: (line) => [line.feedId],
    missingConfig: (configs, line) => (configs.of(line.feedId) === undefined ? line.feedId : undefined),
    newState: newFeedState,
    fold(context, line, position) {
      const routing = context.config.of(line.feedId);
      if (routing === undefined) {
        // Deleted: what was known of it goes with the next line, at the same place in every replay.
        context.delete(line.feedId);
        return options.onCount("unknown", 1);
      }
      foldFeedLine(context.state(line.feedId), line, routing, position, options, {
        emit: (routingKey, wire, ext) => context.emit(routingKey, wire, ext),
        count: (what, by) => options.onCount(what, by),
      });
      if (line.kind !== "state") options.onMessage(line.feedId, line.ts);
    },
    serialize: serializeFeedState,
    deserialize: deserializeFeedState,
    sizeOf: feedStateBytes,
  };
}

const decoder = new TextDecoder();

/** Only ingest writes there; a line it could not have written goes to the dead letters and the lane moves on. */
export function decodeFeedLines(data: Uint8Array): Decoded<FeedLine>[] {
  return decoder
    .decode(data)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      try {
        return { ok: true, input: decodeFeedLine(line) };
      } catch (error) {
        return { ok: false, reason: error instanceof Error ? error.message : String(error), raw: line };
      }
    });
}

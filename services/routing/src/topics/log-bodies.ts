/** Reads single lines of `feeds.<lane>` by position, for answers about a feed; each stored message is fetched once. Tests: log-bodies.test.ts. */
import { decodeFeedLine, type FeedLine } from "@headwater/protocol";
import type { LogPlace } from "../domain/topic-state.ts";

/** Stored message of the lane's stream, undefined when it has left the log. */
export type FetchMessage = (seq: number) => Promise<{ data: Uint8Array } | undefined>;

const FETCH_AT_ONCE = 16;
/** With room for JSON escapes and other members below the broker's largest payload. */
const MAX_ANSWER_CHARS = 2 * 1024 * 1024;
/** One message may be larger, as long as it fits the broker's largest payload once it is written as a JSON string. */
const MAX_ONE_BYTES = 7 * 1024 * 1024;

/**
 * Bodies in the order asked for. Ends before the answer passes `MAX_ANSWER_CHARS`, but gives the first body whatever its size. Left out:
 * lines that left the log, that are not of this feed, or that no answer can hold.
 */
export async function readBodies<Place extends LogPlace>(
  feedId: string,
  places: readonly Place[],
  fetch: FetchMessage,
): Promise<{ place: Place; line: FeedLine; json: string }[]> {
  const result: { place: Place; line: FeedLine; json: string }[] = [];
  let chars = 0;
  for (let i = 0; i < places.length; ) {
    const group = groupOf(places, i);
    i += group.places.length;
    const fetched = await Promise.all(group.seqs.map(async (seq) => [seq, await linesOf(seq, fetch)] as const));
    const bySeq = new Map(fetched);
    for (const place of group.places) {
      const line = parse(bySeq.get(place.seq)?.[place.index]);
      if (line === undefined || line.feedId !== feedId || line.kind === "state") continue;
      const json = line.kind === "json" ? line.json : JSON.stringify(line.text);
      if (json.length > MAX_ANSWER_CHARS && Buffer.byteLength(JSON.stringify(json)) > MAX_ONE_BYTES) continue;
      chars += json.length;
      if (result.length > 0 && chars > MAX_ANSWER_CHARS) return result;
      result.push({ place, line, json });
    }
  }
  return result;
}

/** The next places that need at most `FETCH_AT_ONCE` stored messages. */
function groupOf<Place extends LogPlace>(places: readonly Place[], from: number): { places: Place[]; seqs: number[] } {
  const seqs = new Set<number>();
  const group: Place[] = [];
  for (const place of places.slice(from)) {
    if (!seqs.has(place.seq) && seqs.size >= FETCH_AT_ONCE) break;
    seqs.add(place.seq);
    group.push(place);
  }
  return { places: group, seqs: [...seqs] };
}

async function linesOf(seq: number, fetch: FetchMessage): Promise<string[]> {
  const message = await fetch(seq);
  if (message === undefined) return [];
  return new TextDecoder()
    .decode(message.data)
    .split("\n")
    .filter((line) => line !== "");
}

function parse(text: string | undefined): FeedLine | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeFeedLine(text);
  } catch {
    return undefined; // a dead letter of the lane
  }
}

/** Use of every stream's byte budget, and how long it lasts at a rate. Tests: streams.test.ts (arithmetic), commands/system.int.test.ts. */
import { type Nats, StreamMissing, type StreamState, streamState } from "@headwater/messaging";
import { streamSpecs } from "@headwater/protocol";

export interface StreamUse {
  stream: string;
  messages: number;
  bytes: number;
  maxBytes: number;
  usedShare: number;
  firstSeq: number;
  lastSeq: number;
  /** What happens when it is full: old messages go, or new ones are refused. */
  whenFull: "old" | "new";
}

export interface Headroom {
  stream: string;
  whenFull: "old" | "new";
  usedShare: number;
  bytesPerSecond: number;
  /** Streams that refuse: hours until full. Streams that drop old messages: hours they hold when full. null = nothing is coming in. */
  hours: number | null;
}

/** Streams that do not exist yet are left out. */
export async function readStreams(nats: Nats): Promise<StreamUse[]> {
  const specs = streamSpecs("laptop"); // names are the same in every profile
  const states = await Promise.all(specs.map(async (spec) => ({ spec, state: await stateOf(nats, spec.name) })));
  return states.flatMap(({ spec, state }) =>
    state
      ? {
          stream: spec.name,
          messages: state.messages,
          bytes: state.bytes,
          maxBytes: state.maxBytes,
          usedShare: state.maxBytes > 0 ? state.bytes / state.maxBytes : 0,
          firstSeq: state.firstSeq,
          lastSeq: state.lastSeq,
          whenFull: spec.discard,
        }
      : [],
  );
}

async function stateOf(nats: Nats, stream: string): Promise<StreamState | undefined> {
  try {
    return await streamState(nats, stream);
  } catch (error) {
    if (error instanceof StreamMissing) return undefined;
    throw error;
  }
}

/** `VISITS_3` → `VISITS_*`: the lanes of a family share their load, so they are told as one. */
export function groupOf(stream: string): string {
  return stream.replace(/_\d+$/, "_*");
}

/** Streams of a group added up; `lanes` says how many. Order of first appearance. */
export function grouped(streams: readonly StreamUse[]): (StreamUse & { lanes: number })[] {
  const groups = new Map<string, StreamUse & { lanes: number }>();
  for (const stream of streams) {
    const name = groupOf(stream.stream);
    const group = groups.get(name);
    if (!group) {
      groups.set(name, { ...stream, stream: name, lanes: 1 });
      continue;
    }
    group.lanes++;
    group.messages += stream.messages;
    group.bytes += stream.bytes;
    group.maxBytes += stream.maxBytes;
    group.lastSeq += stream.lastSeq;
    // The fullest lane is what matters: it refuses first.
    group.usedShare = Math.max(group.usedShare, stream.usedShare);
  }
  return [...groups.values()];
}

/**
 * From two looks `seconds` apart. Bytes written are counted as messages times their mean size, so that a purge between the looks
 * does not hide them. Lanes are taken together: a short look at one of them says little.
 */
export function headroomOf(before: readonly StreamUse[], after: readonly StreamUse[], seconds: number): Headroom[] {
  const first = new Map(grouped(before).map((group) => [group.stream, group]));
  return grouped(after).map((group) => {
    const meanSize = group.messages > 0 ? group.bytes / group.messages : 0;
    const written = Math.max(0, group.lastSeq - (first.get(group.stream)?.lastSeq ?? group.lastSeq));
    const bytesPerSecond = (written * meanSize) / seconds;
    const room = group.whenFull === "new" ? group.maxBytes * (1 - group.usedShare) : group.maxBytes;
    return {
      stream: group.stream,
      whenFull: group.whenFull,
      usedShare: group.usedShare,
      bytesPerSecond,
      hours: bytesPerSecond > 0 ? Math.max(0, room) / bytesPerSecond / 3_600 : null,
    };
  });
}

/** Use of every stream's byte budget, and how long it lasts at a rate. Tests: streams.test.ts (arithmetic), status.int.test.ts. */
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

/**
 * From two looks `seconds` apart. Bytes written are counted as messages times their mean size, so that a purge between the looks
 * does not hide them.
 */
export function headroomOf(before: StreamUse, after: StreamUse, seconds: number): Headroom {
  const meanSize = after.messages > 0 ? after.bytes / after.messages : 0;
  const bytesPerSecond = (Math.max(0, after.lastSeq - before.lastSeq) * meanSize) / seconds;
  const room = after.whenFull === "new" ? Math.max(0, after.maxBytes - after.bytes) : after.maxBytes;
  return {
    stream: after.stream,
    whenFull: after.whenFull,
    usedShare: after.usedShare,
    bytesPerSecond,
    hours: bytesPerSecond > 0 ? room / bytesPerSecond / 3_600 : null,
  };
}
